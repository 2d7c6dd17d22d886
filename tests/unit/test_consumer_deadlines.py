"""Handlers' timeouts: what `asyncio.timeout` around each run would do, with one timer for all."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from consumer.calling import Caller, stop
from consumer.deadlines import Deadlines
from consumer.failure import Cause, Failure
from consumer.registry import Handler, build_registry, declarations_of
from support.waiting import until
from tidings import handler

SHORT = "20ms"


def checked(function: Callable[..., Any]) -> Handler:
    return build_registry(declarations_of(function)).handlers[0]


async def called(function: Callable[..., Any]) -> Failure | None:
    caller = Caller(concurrency=2)
    try:
        return await asyncio.create_task(caller.call(checked(function), {}))
    finally:
        caller.close()


def timed_out(found: Failure | None) -> bool:
    return found is not None and "not finished within its timeout of 0.02s" in found.message


async def test_a_handler_that_lasts_too_long_is_cancelled_and_that_is_its_failure() -> None:
    @handler("a", timeout=SHORT)
    async def slow() -> None:
        await asyncio.sleep(10)

    assert timed_out(await called(slow))


async def test_a_handler_that_is_quick_enough_is_left_alone() -> None:
    @handler("a", timeout=SHORT)
    async def quick() -> None:
        await asyncio.sleep(0.001)

    assert await called(quick) is None


async def test_a_handler_that_swallows_the_cancellation_has_finished() -> None:
    cancelling = []

    @handler("a", timeout=SHORT)
    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)

    caller = Caller(concurrency=1)

    async def run() -> Failure | None:
        found = await caller.call(checked(stubborn), {})
        task = asyncio.current_task()
        cancelling.append(task.cancelling() if task else None)
        await asyncio.sleep(0)  # nothing is left of the cancellation
        return found

    assert await asyncio.create_task(run()) is None
    assert cancelling == [0]


async def test_a_handler_that_makes_another_error_of_the_cancellation_failed_with_that() -> None:
    @handler("a", timeout=SHORT)
    async def wrapped() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise LookupError("gone") from None

    found = await called(wrapped)

    assert found is not None
    assert found.error == "LookupError"


async def test_a_timeout_of_the_handlers_own_is_its_own_error() -> None:
    @handler("a", timeout="5s")
    async def own() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(10)

    found = await called(own)

    assert found is not None
    assert (found.error, found.message) == ("TimeoutError", "")


async def test_our_timeout_passes_through_a_longer_one_of_the_handlers_own() -> None:
    @handler("a", timeout=SHORT)
    async def own() -> None:
        async with asyncio.timeout(5):
            await asyncio.sleep(10)

    assert timed_out(await called(own))


async def test_both_timeouts_at_once_are_ours() -> None:
    @handler("a", timeout=SHORT)
    async def own() -> None:
        async with asyncio.timeout(0.019):
            time.sleep(0.03)  # noqa: ASYNC251 - both are due when the loop looks again
            await asyncio.sleep(10)

    found = await called(own)

    assert found is not None
    assert found.error == "TimeoutError"


@pytest.mark.parametrize("stop_first", [True, False])
async def test_a_stop_at_the_moment_of_the_timeout_is_a_stop(*, stop_first: bool) -> None:
    loop = asyncio.get_running_loop()
    caller = Caller(concurrency=1)

    @handler("a", timeout=SHORT)
    async def slow() -> None:
        if stop_first:
            loop.call_soon(stop, task)
            loop.call_soon(time.sleep, 0.03)
        else:
            loop.call_later(0.02, stop, task)
        await asyncio.sleep(10)

    task = asyncio.create_task(caller.call(checked(slow), {}))

    found = await task
    assert found is not None
    assert found.cause is Cause.INTERRUPTED


async def test_a_handler_that_cancels_its_own_task_has_failed_and_the_task_goes_on() -> None:
    @handler("a", timeout=5)
    async def own() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(10)

    found = await called(own)

    assert found is not None
    assert (found.cause, found.error) == (Cause.RAISED, "CancelledError")
    await asyncio.sleep(0)  # nothing of the cancellation is left


async def test_a_thread_that_lasts_too_long_is_given_up() -> None:
    @handler("a", timeout=SHORT)
    def slow() -> None:
        time.sleep(0.05)

    assert timed_out(await called(slow))


async def test_each_run_has_its_whole_time_however_many_there_are() -> None:
    loop = asyncio.get_running_loop()
    deadlines, lasted = Deadlines(0.05), list[float]()

    async def run(begin: float) -> None:
        await asyncio.sleep(begin)
        task = asyncio.current_task()
        assert task is not None
        began = loop.time()
        deadlines.begin(task)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        lasted.append(loop.time() - began)
        assert deadlines.end(task)

    await asyncio.gather(*(run(number * 0.005) for number in range(20)))

    assert min(lasted) >= 0.049
    assert len(lasted) == 20


async def test_one_timer_serves_all_runs_and_goes_when_none_is_left() -> None:
    deadlines = Deadlines(0.02)
    task = asyncio.current_task()
    assert task is not None
    for _ in range(100):
        deadlines.begin(task)
        assert not deadlines.end(task)
    assert deadlines._timer is not None

    await until(lambda: deadlines._timer is None)
    assert not task.cancelling()
