"""Driving sources: what they make reaches the outbox, and none can stop another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog

from common.event import Event
from common.message import Publishing
from common.metrics import Metrics
from producer import driver
from producer.driver import Driver, restart_delay
from producer.outbox.memory import MemoryOutbox
from producer.schedule import Tick
from producer.source import build_sources, declarations_of, source
from producer.writer import EventWriter
from support.waiting import until

SECOND = 1_000_000


class Clock:
    """A second passes each time somebody looks: every look finds the next tick due."""

    def __init__(self) -> None:
        self.now_us = 100 * SECOND

    def __call__(self) -> int:
        self.now_us += SECOND
        return self.now_us


class Bench:
    """A driver on an outbox of its own, with nobody who empties it but the test."""

    def __init__(self, size: int = 10) -> None:
        self.metrics = Metrics()
        self.outbox = MemoryOutbox(size)
        self.clock = Clock()
        writer = EventWriter("shop", 10_000, self.clock)
        self.driver = Driver(outbox=self.outbox, writer=writer, metrics=self.metrics)

    @asynccontextmanager
    async def driving(self, *functions: Callable[..., object]) -> AsyncIterator[None]:
        declared = [one for function in functions for one in declarations_of(function)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.driver.run(found)) for found in build_sources(declared)]
            yield
            for task in tasks:
                task.cancel()

    async def next(self) -> Publishing:
        async with asyncio.timeout(10):
            (entry,) = await self.outbox.take(1)
        self.outbox.confirm(entry)
        return entry.publishing

    def value(self, name: str) -> float:
        """Sum a metric over its labels, as a scrape shows it."""
        text, _ = self.metrics.render()
        lines = [line for line in text.decode().splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_each_tick_is_made_once_and_in_order() -> None:
    @source(every="1s")
    async def counting(tick: Tick) -> Event:
        return Event("count", tick.number)

    bench = Bench()
    async with bench.driving(counting):
        bodies = [(await bench.next()).message.body for _ in range(5)]

    assert [f'"data":{number}}}'.encode() in bodies[i] for i, number in enumerate(range(102, 107))]
    assert len(set(bodies)) == 5


async def test_a_source_that_raises_is_counted_and_goes_on_with_the_next_tick() -> None:
    @source(every="1s")
    def failing(tick: Tick) -> Event:
        if tick.number % 2:
            raise LookupError("no data")
        return Event("even", tick.number)

    bench = Bench()
    with structlog.testing.capture_logs() as logs:
        bench = Bench()
        async with bench.driving(failing):
            await bench.next()
            await bench.next()

    assert bench.value("tidings_source_errors_total") >= 1
    failures = [line for line in logs if line["event"] == "source_failed"]
    assert failures
    assert failures[0]["where"].startswith("tests/unit/test_producer_driver.py:")


@pytest.mark.parametrize(
    "error", [ValueError(), SystemExit(1), asyncio.CancelledError(), RecursionError()]
)
async def test_no_failure_of_one_source_stops_another(error: BaseException) -> None:
    @source(every="1s")
    async def failing() -> Event:
        raise error

    @source(every="1s")
    async def steady() -> Event:
        return Event("steady")

    bench = Bench()
    async with bench.driving(failing, steady):
        made = [await bench.next() for _ in range(3)]
        await until(lambda: bench.value("tidings_source_errors_total") >= 2)

    assert {one.routing_key for one in made} == {"steady"}


async def test_an_event_that_cannot_be_sent_is_a_failure_of_its_source() -> None:
    @source(every="1s")
    async def wrong() -> Event:
        return Event("wrong", {"x": float("inf")})

    bench = Bench()
    async with bench.driving(wrong):
        await until(lambda: bench.value("tidings_source_errors_total") >= 1)

    assert bench.outbox.depth == 0


async def test_a_blocking_source_does_not_hold_up_the_others() -> None:
    """Plain functions and generators run in threads."""
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    @source(every="1s")
    def blocking() -> Iterator[Event]:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        yield Event("blocking")

    @source(every="1s")
    async def steady() -> Event:
        return Event("steady")

    bench = Bench()
    async with bench.driving(blocking, steady):
        made = [await bench.next() for _ in range(3)]
        release.set()
        await until(lambda: bench.outbox.full, what="the blocked source goes on")

    assert {one.routing_key for one in made} == {"steady"}


async def test_a_full_outbox_makes_the_source_wait_and_counts_what_it_missed() -> None:
    """Given room for two events; when it is full, the third waits and no event is dropped."""

    @source(every="1s")
    async def counting(tick: Tick) -> Event:
        return Event("count", tick.number)

    with structlog.testing.capture_logs() as logs:
        bench = Bench(size=2)
        async with bench.driving(counting):
            await until(lambda: bench.outbox.full and bench.outbox._line)
            bench.clock.now_us += 60 * SECOND
            bodies = [(await bench.next()).message.body for _ in range(4)]

    numbers = [int(body.rpartition(b":")[2].rstrip(b"}")) for body in bodies]
    assert numbers[:3] == [102, 103, 104]
    assert numbers[3] > 164
    assert bench.value("tidings_ticks_missed_total") >= 60
    assert [line["event"] for line in logs].count("outbox_full") == 1


async def test_a_stream_that_raises_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "FIRST_RESTART", 0.001)
    starts = 0

    @source
    async def flaky() -> AsyncIterator[Event]:
        nonlocal starts
        starts += 1
        yield Event("flaky", starts)
        raise ConnectionError

    bench = Bench()
    async with bench.driving(flaky):
        bodies = [(await bench.next()).message.body for _ in range(3)]

    assert [body.rpartition(b":")[2] for body in bodies] == [b"1}", b"2}", b"3}"]
    assert bench.value("tidings_source_errors_total") >= 2


async def test_a_stream_that_ends_is_over_and_said_to_be() -> None:
    @source
    async def short() -> AsyncIterator[Event]:
        yield Event("short")

    with structlog.testing.capture_logs() as logs:
        bench = Bench()
        async with bench.driving(short):
            await bench.next()
            await until(lambda: "source_ended" in [line["event"] for line in logs])

    assert bench.outbox.depth == 0


async def test_a_stream_is_closed_in_good_order_when_the_producer_stops() -> None:
    closed = False

    @source
    async def endless() -> AsyncIterator[Event]:
        nonlocal closed
        try:
            while True:
                yield Event("endless")
                await asyncio.sleep(0)
        finally:
            closed = True

    bench = Bench()
    async with bench.driving(endless):
        await bench.next()

    assert closed


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1), (1, 2), (2, 4), (4, 16), (5, 30), (6, 30), (5000, 30)]
)
def test_the_wait_before_a_restart_doubles_up_to_half_a_minute(
    failures: int, seconds: float
) -> None:
    assert restart_delay(failures) == seconds
