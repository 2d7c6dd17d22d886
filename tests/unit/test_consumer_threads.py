"""Threads that do not come back: counted, named, and the process unwell when none is left."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from common.metrics import Metrics
from common.probes import Health
from consumer.calling import Caller
from consumer.registry import Handler, build_registry, declarations_of
from support.waiting import until
from tidings import handler

END = threading.Event()


@handler("hangs", timeout="20ms")
def hangs() -> None:
    END.wait()


@handler("quick", timeout="20ms")
def quick() -> None:
    pass


def checked(function: Callable[..., Any]) -> Handler:
    return build_registry(declarations_of(function)).handlers[0]


class Bench:
    """A caller with two threads, and what it shows."""

    def __init__(self) -> None:
        self.health, self.metrics = Health(), Metrics()
        self.caller = Caller(2, health=self.health, metrics=self.metrics)

    async def hang(self, times: int) -> None:
        for _ in range(times):
            failure = await self.caller.call(checked(hangs), {})
            assert failure is not None
            assert failure.error == "TimeoutError"

    @property
    def shown(self) -> str:
        return self.metrics.render()[0].decode()


@pytest.fixture
def bench() -> Iterator[Bench]:
    END.clear()
    made = Bench()
    yield made
    END.set()
    made.caller.close()


async def test_an_abandoned_thread_is_counted_and_said_with_where_it_hangs(bench: Bench) -> None:
    with structlog.testing.capture_logs() as lines:
        bench = Bench()
        await bench.hang(1)

    assert bench.caller.abandoned == 1
    assert "tidings_handlers_abandoned 1.0" in bench.shown
    assert bench.health.failures == []
    (line,) = lines
    assert (line["event"], line["abandoned"], line["threads"]) == ("handler_abandoned", 1, 2)
    assert line["handler"].endswith(".hangs")
    assert "in hangs\n    END.wait()" in line["stack"]


async def test_the_other_threads_go_on(bench: Bench) -> None:
    await bench.hang(1)

    assert [await bench.caller.call(checked(quick), {}) for _ in range(5)] == [None] * 5


async def test_when_every_thread_hangs_only_a_new_process_helps_and_it_says_why() -> None:
    END.clear()
    with structlog.testing.capture_logs() as lines:
        bench = Bench()
        await bench.hang(2)
    END.set()

    (failure,) = bench.health.failures
    assert failure.startswith("threads: none is left for plain handlers, all 2 hang: ")
    assert failure.endswith(".hangs (2)")
    (line,) = (one for one in lines if one["event"] == "threads_spent")
    assert [name.endswith(".hangs (2)") for name in line["handlers"]] == [True]
    bench.caller.close()


async def test_a_thread_that_comes_back_late_is_taken_up_again(bench: Bench) -> None:
    await bench.hang(2)
    waiting = asyncio.create_task(bench.caller.call(checked(quick), {}))
    assert bench.health.failures

    END.set()

    assert await waiting is None
    await until(lambda: not bench.health.failures)
    await until(lambda: bench.caller.abandoned == 0)
    assert "tidings_handlers_abandoned 0.0" in bench.shown
    assert [await bench.caller.call(checked(quick), {}) for _ in range(5)] == [None] * 5


async def test_a_thread_that_a_stop_leaves_behind_counts_too(bench: Bench) -> None:
    @handler("waits", timeout=30)
    def waits() -> None:
        started.set()
        END.wait()

    started = threading.Event()
    task = asyncio.create_task(bench.caller.call(checked(waits), {}))
    await until(started.is_set)
    task.cancel()
    await asyncio.wait((task,))

    assert bench.caller.abandoned == 1
