"""Run one handler under its timeout; whatever it raises comes back as a value."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from common.duration import readable
from common.stopping import asked_to_stop
from consumer.deadlines import Deadlines
from consumer.policy import Cause, Failure, classify
from consumer.registry import Handler

THREADS_AT_MOST = 32


class Caller:
    """Calls async handlers in the caller's own task, plain functions in a bounded thread pool."""

    def __init__(self, concurrency: int) -> None:
        size = min(concurrency, THREADS_AT_MOST)
        self._threads = ThreadPoolExecutor(max_workers=size, thread_name_prefix="handler")
        self._free_threads = asyncio.Semaphore(size)
        self._in_threads = 0
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
                await self._free_threads.acquire()
                deadlines.begin(task)  # now: waiting for a thread is not the handler's doing
                began = True
                await self._in_thread(handler.function, arguments)
        except BaseException as error:  # noqa: BLE001 - SystemExit of a handler must not end the consumer
            overdue = began and deadlines.end(task)
            if isinstance(error, asyncio.CancelledError):
                if overdue and task.cancelling() <= cancelled_before:
                    return _not_finished(handler.timeout)
                if asked_to_stop():
                    return Failure(Cause.INTERRUPTED)
            if isinstance(error, TimeoutError) and overdue:
                return _not_finished(handler.timeout)
            return classify(error)
        deadlines.end(task)
        return None

    @property
    def abandoned(self) -> int:
        """Threads that still run a handler whose time is over; Python cannot end them."""
        return self._in_threads

    def close(self) -> None:
        """Take no more work; does not wait for threads that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _deadlines_of(self, seconds: float) -> Deadlines:
        return self._deadlines.setdefault(seconds, Deadlines(seconds))

    async def _in_thread(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        context = contextvars.copy_context()

        def run() -> BaseException | None:
            # As a value: a StopIteration cannot travel through a future.
            self._in_threads += 1
            try:
                context.run(function, **arguments)
            except BaseException as error:  # noqa: BLE001 - as above
                return error
            finally:
                self._in_threads -= 1
            return None

        loop = asyncio.get_running_loop()

        def release(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._free_threads.release)

        future = self._threads.submit(run)
        future.add_done_callback(release)  # when the thread is free, not when its time is over
        error = await asyncio.wrap_future(future)
        if error is not None:
            raise error


def _not_finished(timeout: float) -> Failure:
    return Failure(
        Cause.RAISED,
        error="TimeoutError",
        message=f"not finished within its timeout of {readable(timeout)}",
        types=(TimeoutError,),
    )
