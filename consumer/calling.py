"""Run one handler under its timeout; whatever it raises comes back as a value."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from common.duration import readable
from common.stopping import asked_to_stop
from consumer.policy import Cause, Failure, classify
from consumer.registry import Handler

THREADS_AT_MOST = 32


class Interrupted(Exception):
    """The run was cut off by our own shutdown."""


class Caller:
    """Calls async handlers in the caller's own task, plain functions in a bounded thread pool."""

    def __init__(self, concurrency: int) -> None:
        size = min(concurrency, THREADS_AT_MOST)
        self._threads = ThreadPoolExecutor(max_workers=size, thread_name_prefix="handler")
        self._free_threads = asyncio.Semaphore(size)
        self._in_threads = 0

    async def call(self, handler: Handler, arguments: dict[str, Any]) -> Failure | None:
        """Run the handler; None when it finished. Raises Interrupted when this task is stopped."""
        limit = asyncio.timeout(None)
        try:
            if not handler.is_async:
                await self._free_threads.acquire()
            # Its time begins here: waiting for a thread is not the handler's doing.
            limit = asyncio.timeout(handler.timeout)
            async with limit:
                if handler.is_async:
                    await handler.function(**arguments)
                else:
                    await self._in_thread(handler.function, arguments)
        except BaseException as error:  # noqa: BLE001 - SystemExit of a handler must not end the consumer
            if isinstance(error, asyncio.CancelledError) and asked_to_stop():
                raise Interrupted from None
            if isinstance(error, TimeoutError) and limit.expired():
                return Failure(
                    Cause.RAISED,
                    error="TimeoutError",
                    message=f"not finished within its timeout of {readable(handler.timeout)}",
                    types=(TimeoutError,),
                )
            return classify(error)
        return None

    @property
    def abandoned(self) -> int:
        """Threads that still run a handler whose time is over; Python cannot end them."""
        return self._in_threads

    def close(self) -> None:
        """Take no more work; does not wait for threads that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)

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
