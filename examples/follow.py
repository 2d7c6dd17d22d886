"""A source that follows a file of JSON lines, like `tail -F` that forgets nothing.

    TIDINGS_DATA=/var/lib/shop FOLLOWED=orders.jsonl tidings producer examples.follow

Each line becomes an event, and is kept together with the place in the file where it ends: a crash
at any moment neither loses a line nor sends it as two events. A line that is no JSON object becomes
an event of its own type. A file that was replaced by a new one (rotated) is read from its start.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from tidings import Event, SourceContext, source

PAUSE = 0.2
"""Seconds between two looks at a file that had nothing new."""
MOST_AT_ONCE = 100
"""Lines that are kept in one transaction."""


@source(name="followed-file")
async def follow(ctx: SourceContext) -> AsyncIterator[list[Event]]:
    """Yield the file's new lines, in order."""
    path = Path(os.environ.get("FOLLOWED", "events.jsonl"))  # noqa: TID251 - a user's program
    while True:
        inode, position = ctx.cursor or (0, 0)
        lines, inode, end = await asyncio.to_thread(_new_lines, path, inode, position)
        if lines:
            ctx.cursor = [inode, end]
            yield [_event(line) for line in lines]
        else:
            await asyncio.sleep(PAUSE)


def _new_lines(path: Path, inode: int, position: int) -> tuple[list[bytes], int, int]:
    """Read whole lines behind a position; one that is still being written waits for its end."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return [], inode, position
    with file:
        found = os.fstat(file.fileno())
        if found.st_ino != inode or found.st_size < position:
            inode, position = found.st_ino, 0
        file.seek(position)
        lines: list[bytes] = []
        while len(lines) < MOST_AT_ONCE and (line := file.readline()).endswith(b"\n"):
            lines.append(line)
            position = file.tell()
        return lines, inode, position


def _event(line: bytes) -> Event:
    try:
        said = json.loads(line)
        return Event(said["type"], said.get("data"), subject=said.get("subject"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Event("line.unreadable", line.decode(errors="replace").rstrip("\n"))
