"""The bounded threads in which plain handlers run, and those that do not come back.

Python cannot end a thread. One that still runs when its handler's time is over is abandoned: its
event is tried again elsewhere, its place in the pool stays taken until it comes back. Once all are
abandoned no plain handler can run here any more, and only a new process helps.
"""

import asyncio
import contextvars
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from common.duration import readable
from common.logs import get_logger
from common.metrics import Metrics
from common.probes import Health
from common.stacks import stack_of
from consumer.registry import Handler

SUBJECT = "threads"
"""What fails in `/livez`."""


@dataclass(eq=False, slots=True)
class _Run:
    """A handler's run in a thread."""

    handler: Handler
    future: "Future[BaseException | None]" = field(init=False)
    thread: int = 0
    """The thread's identity; 0 before it has begun."""


class Threads:
    """A pool of `size` threads; `await acquire()`, then `await run()` once."""

    def __init__(self, size: int, health: Health, metrics: Metrics) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="handler")
        self._free = asyncio.Semaphore(size)
        self._hanging: dict[_Run, None] = {}
        """The abandoned runs, the oldest first."""
        self._health = health
        self._log = get_logger()
        metrics.handlers_abandoned.set_function(lambda: self.abandoned)

    @property
    def abandoned(self) -> int:
        """Threads that still run a handler that nobody waits for."""
        return sum(not run.future.done() for run in self._hanging)

    async def acquire(self) -> None:
        """Wait until a thread is free."""
        await self._free.acquire()

    async def run(self, handler: Handler, arguments: dict[str, Any]) -> None:
        """Run the handler in the acquired thread; when cancelled, abandon that."""
        context = contextvars.copy_context()
        run = _Run(handler)

        def call() -> BaseException | None:
            # As a value: a StopIteration cannot travel through a future.
            run.thread = threading.get_ident()
            try:
                context.run(handler.function, **arguments)
            except BaseException as error:  # noqa: BLE001 - SystemExit of a handler must not end the consumer
                return error
            return None

        loop = asyncio.get_running_loop()

        def came_back(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._came_back, run)

        run.future = self._pool.submit(call)
        run.future.add_done_callback(came_back)  # when it is free, not when its time is over
        try:
            error = await asyncio.wrap_future(run.future)
        except asyncio.CancelledError:
            if not run.future.done():
                self._abandon(run)
            raise
        if error is not None:
            raise error

    def close(self) -> None:
        """Take no more work; does not wait for threads that hang."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _abandon(self, run: _Run) -> None:
        self._hanging[run] = None
        self._log.warning(
            "handler_abandoned",
            handler=run.handler.name,
            timeout=readable(run.handler.timeout),
            abandoned=len(self._hanging),
            threads=self.size,
            stack=stack_of(run.thread),
        )
        if len(self._hanging) == self.size:
            hanging = Counter(one.handler.name for one in self._hanging)
            names = [f"{name} ({count})" for name, count in hanging.most_common()]
            self._health.fail(
                SUBJECT,
                f"none is left for plain handlers, all {self.size} hang: {', '.join(names)}",
            )
            self._log.error(
                "threads_spent",
                handlers=names,
                remedy="restart; give what these handlers wait for a timeout of its own",
            )

    def _came_back(self, run: _Run) -> None:
        self._free.release()
        if run not in self._hanging:
            return
        spent = len(self._hanging) == self.size
        del self._hanging[run]
        left = len(self._hanging)
        self._log.info("handler_came_back", handler=run.handler.name, abandoned=left)
        if spent:
            self._health.fail(SUBJECT, None)
