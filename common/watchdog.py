"""See from a thread of its own that the event loop is blocked, and say where.

A handler or source that computes or waits without `await` keeps everything else from running:
deliveries, acks, heartbeats, and the probes, so that the liveness probe fails by itself. What is
missing then is a word about the culprit, which only another thread can say.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from common.logs import get_logger
from common.metrics import Metrics
from common.stacks import stack_of

ASK_SECONDS = 1.0
"""Between two questions: all that an idle process pays for it."""
LAGS_REMEMBERED = 60
"""So the gauge shows the longest of the last minute."""
END_SECONDS = 1.0
"""How long the end waits for the thread, which may be writing a line."""
REMEDY = "what blocks belongs into a plain `def` handler, or into `await asyncio.to_thread(...)`"


class Watchdog:
    """Watches the running loop while its block is entered.

    The thread asks the loop for a sign and waits for it. All counting is done by the loop, once it
    is free again: instruments are for one thread. A block that holds Python's global lock too, as
    C code may, stops the watchdog with everything else.
    """

    def __init__(self, metrics: Metrics, *, blocked_after: float) -> None:
        """`blocked_after`: seconds without a sign after which the loop is called blocked."""
        self._metrics = metrics
        self._step = min(ASK_SECONDS, blocked_after / 2)
        self._steps = math.ceil(blocked_after / self._step)
        self._signs: SimpleQueue[None] = SimpleQueue()
        self._over = threading.Event()
        self._lags: deque[float] = deque(maxlen=LAGS_REMEMBERED)
        self._log = get_logger()

    def __enter__(self) -> Self:
        """Begin, in the loop's own thread."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._metrics.loop_lag.set_function(lambda: max(self._lags, default=0.0))
        self._thread = threading.Thread(target=self._watch, name="loop watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._over.set()
        self._signs.put(None)
        self._thread.join(END_SECONDS)

    # In the loop.

    def _sign(self, asked: float) -> None:
        self._lags.append(time.monotonic() - asked)
        self._signs.put(None)

    # In the watchdog's thread.

    def _watch(self) -> None:
        while not self._over.wait(self._step):
            asked = time.monotonic()
            if not self._post(partial(self._sign, asked)):
                return
            if not self._sign_comes():
                self._blocked(asked)

    def _sign_comes(self) -> bool:
        """Wait in steps: a process that was stopped for a minute has lost one of them."""
        for _ in range(self._steps):
            with suppress(Empty):
                self._signs.get(timeout=self._step)
                return True
        return False

    def _blocked(self, asked: float) -> None:
        """Say it once, and again when it is over."""
        stack = stack_of(self._loop_thread)
        self._post(self._metrics.loop_blocked.inc)
        with suppress(OSError):  # a log that is a broken pipe
            self._log.error("loop_blocked", seconds=_since(asked), remedy=REMEDY, stack=stack)
        self._signs.get()
        if not self._over.is_set():
            with suppress(OSError):
                self._log.warning("loop_free_again", seconds=_since(asked))

    def _post(self, call: Callable[[], object]) -> bool:
        """Let the loop call it; False when the loop has been closed."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            return False
        return True


def _since(moment: float) -> float:
    return round(time.monotonic() - moment, 1)
