"""Run one handler under its timeout; whatever it raises comes back as a value."""

import asyncio
from typing import Any
from weakref import WeakSet

from common.duration import readable
from common.metrics import Metrics
from common.probes import Health
from consumer.deadlines import Deadlines
from consumer.failure import Cause, Failure, classify
from consumer.registry import Handler
from consumer.threads import Threads

THREADS_AT_MOST = 32

_stopped: WeakSet[asyncio.Task[Any]] = WeakSet()
"""Tasks that we have cancelled; a handler may cancel its own, which looks the same to it."""


def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a delivery's task: its handler's end counts as our doing, not as its own."""
    _stopped.add(task)
    task.cancel()


class Caller:
    """Calls async handlers in the caller's own task, plain functions in a bounded thread pool."""

    def __init__(
        self, concurrency: int, *, health: Health | None = None, metrics: Metrics | None = None
    ) -> None:
        """`health` and `metrics` show threads that hang; without, nobody asks."""
        size = min(concurrency, THREADS_AT_MOST)
        self._threads = Threads(size, health or Health(), metrics or Metrics())
        self._deadlines: dict[float, Deadlines] = {}
        """By their seconds: as many as handlers have different timeouts."""

    async def call(self, handler: Handler, arguments: dict[str, Any]) -> Failure | None:
        """Run the handler; None when it finished."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a handler runs in a task")
        cancelled_before = task.cancelling()
        deadlines = self._deadlines.get(handler.timeout) or self._deadlines_of(handler.timeout)
        began = False
        try:
            if handler.is_async:
                deadlines.begin(task)
                began = True
                await handler.function(**arguments)
            else:
                await self._threads.acquire()
                deadlines.begin(task)  # now: waiting for a thread is not the handler's doing
                began = True
                await self._threads.run(handler, arguments)
        except BaseException as error:  # noqa: BLE001 - SystemExit of a handler must not end the consumer
            overdue = began and deadlines.end(task)
            if isinstance(error, asyncio.CancelledError):
                if overdue and task.cancelling() <= cancelled_before:
                    return _not_finished(handler.timeout)
                if task in _stopped:
                    return Failure(Cause.INTERRUPTED)
                while task.cancelling() > cancelled_before:
                    task.uncancel()  # the handler cancelled its own task: an error like any other
            if isinstance(error, TimeoutError) and overdue:
                return _not_finished(handler.timeout)
            return classify(error)
        deadlines.end(task)
        return None

    @property
    def abandoned(self) -> int:
        """Threads that still run a handler whose time is over; Python cannot end them."""
        return self._threads.abandoned

    def close(self) -> None:
        """Take no more work; does not wait for threads that hang."""
        self._threads.close()

    def _deadlines_of(self, seconds: float) -> Deadlines:
        return self._deadlines.setdefault(seconds, Deadlines(seconds))


def _not_finished(timeout: float) -> Failure:
    return Failure(
        Cause.RAISED,
        error="TimeoutError",
        message=f"not finished within its timeout of {readable(timeout)}",
        types=(TimeoutError,),
    )
