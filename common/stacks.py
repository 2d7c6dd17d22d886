"""Where a thread is now, as text for a log line."""

import sys
import traceback
from collections import deque

MAX_FRAMES = 20
MAX_LINE = 400
MAX_STACK = 2000
"""Characters: no value of a log line may be much longer."""


def stack_of(thread: int) -> str:
    """Say where the thread of this identity is, the innermost call last; empty when it has ended.

    Files, lines and source only: local variables hold bodies and passwords. Called from another
    thread than the one it looks at.
    """
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the only way; documented in `sys`
    if frame is None:
        return ""
    kept: deque[str] = deque()
    room = MAX_STACK
    for call in reversed(traceback.extract_stack(frame, limit=MAX_FRAMES).format()):
        text = call if len(call) <= MAX_LINE else f"{call[:MAX_LINE]}…\n"
        room -= len(text)
        if room < 0:
            break  # the outermost calls are those that all stacks begin with
        kept.appendleft(text)
    return "".join(kept).rstrip("\n").encode(errors="backslashreplace").decode()
