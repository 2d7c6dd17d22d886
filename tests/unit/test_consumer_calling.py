"""Calling handlers: what a timeout counts, and what threads that hang do to others."""

import asyncio
import threading

import pytest

from consumer.calling import THREADS_AT_MOST, Caller
from consumer.failure import Failure
from consumer.registry import Handler, build_registry, declarations_of
from tidings import handler


def checked(function: object) -> Handler:
    registry = build_registry(declarations_of(function))  # type: ignore[arg-type] # a handler below
    return registry.handlers[0]


async def test_waiting_for_a_thread_is_not_the_handlers_time() -> None:
    """Given threads that are all busy for longer than the timeout, one more still gets its turn."""
    caller, ran = Caller(concurrency=2), list[str]()
    busy = threading.Event()

    @handler("slow", timeout=30)
    def slow() -> None:
        busy.wait()

    @handler("quick", timeout="50ms")
    def quick() -> None:
        ran.append("quick")

    running = [asyncio.create_task(caller.call(checked(slow), {})) for _ in range(2)]
    waiting = asyncio.create_task(caller.call(checked(quick), {}))
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()
    busy.set()

    assert await waiting is None
    assert ran == ["quick"]
    assert await asyncio.gather(*running) == [None, None]
    caller.close()


async def test_a_thread_whose_time_is_over_is_counted_until_it_ends() -> None:
    caller, end = Caller(concurrency=1), threading.Event()

    @handler("hangs", timeout="20ms")
    def hangs() -> None:
        end.wait()

    failure = await caller.call(checked(hangs), {})

    assert isinstance(failure, Failure)
    assert failure.error == "TimeoutError"
    assert caller.abandoned == 1
    end.set()
    caller.close()


@pytest.mark.parametrize("concurrency", [1, 64, 1000])
async def test_threads_are_bounded(concurrency: int) -> None:
    caller = Caller(concurrency)

    assert caller._threads.size == min(concurrency, THREADS_AT_MOST)
    caller.close()
