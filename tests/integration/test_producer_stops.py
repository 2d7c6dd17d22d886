"""A producer that is stopped for a while, whose clock is set, or that is asked to end."""

import asyncio
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from common.errors import EXIT_OK
from producer.writer import wall_clock
from support.broker import Broker
from support.copies import arrived_in
from support.crashes import waiting
from support.processes import Service, service
from support.producing import FAST, bind, producing, value
from support.proxy import proxied
from support.waiting import until

STOPPED_SECONDS = 5
HOUR_US = 3_600_000_000
MISSED_OF_FAST = f'tidings_ticks_missed_total{{source="{FAST[0].name}"}}'

TWO_TICKERS = """
from tidings import Event, Tick, source

@source(every="50ms", name="skips")
async def skips(tick: Tick) -> Event:
    return Event("skips", tick.number)

@source(every="50ms", name="catches-up", missed="catch_up(1000)")
async def catches_up(tick: Tick) -> Event:
    return Event("catches-up", tick.number)
"""

A_THOUSAND = """
import asyncio, pathlib
from collections.abc import AsyncIterator
from tidings import Event, source

@source(name="thousand")
async def thousand() -> AsyncIterator[list[Event]]:
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    pathlib.Path("go").unlink()
    yield [Event("one", number) for number in range(1000)]
    await asyncio.Event().wait()
"""


NO_DISK_YET = """
from functools import partial
from producer.outbox import home
from producer.outbox.sqlite import SqliteOutbox

home.SqliteOutbox = partial(SqliteOutbox, patience=3600.0)
"""


class Ticks(NamedTuple):
    """The numbers of ticks, in the order in which they arrived."""

    numbers: list[int]

    @property
    def gaps(self) -> int:
        return self.numbers[-1] - self.numbers[0] + 1 - len(self.numbers)


async def ticks_in(broker: Broker, queue: str) -> Ticks:
    """Take all; each came once, and in order."""
    arrived = (await arrived_in(broker, queue)).values()
    numbers = [number for number, _ in arrived]
    assert {times for _, times in arrived} == {1}
    assert numbers == sorted(set(numbers))
    return Ticks(numbers)


@pytest.mark.fault("P15")
async def test_a_process_stopped_for_five_seconds_misses_ticks_and_counts_or_catches_them_up(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(TWO_TICKERS)
    await bind(broker.uri, "skips", "skips")
    await bind(broker.uri, "catches-up", "catches-up")

    async with service(
        "producer", "mine", folder=tmp_path, AMQP_URI=broker.uri, DATA="."
    ) as running:
        await until(lambda: _has(broker, "catches-up", 5))
        running.signal(signal.SIGSTOP)
        before = await broker.messages("catches-up")
        # Given five seconds without the processor: the fault itself, not a wait for something.
        await asyncio.sleep(STOPPED_SECONDS)
        running.signal(signal.SIGCONT)
        await until(lambda: _has(broker, "catches-up", before + 110), what="it goes on")
        missed = await running.metric('tidings_ticks_missed_total{source="skips"}')
        caught_up = await running.metric('tidings_ticks_missed_total{source="catches-up"}')
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == EXIT_OK

    skips, catches_up = await ticks_in(broker, "skips"), await ticks_in(broker, "catches-up")
    assert '"event":"ticks_missed"' in running.output
    assert skips.gaps >= 90
    assert missed >= 90
    assert catches_up.gaps == 0
    assert caught_up < 90  # those of the start: until it has the lease another may make them


@pytest.mark.fault("P15")
async def test_a_clock_set_forward_and_back_and_forward_again_makes_no_tick_twice(
    broker: Broker,
) -> None:
    """Set back, there is none until it has passed that moment again."""
    ahead_us = asked = 0

    def clock() -> int:
        nonlocal asked
        asked += 1
        return wall_clock() + ahead_us

    await bind(broker.uri, "ticks", "fast")
    async with producing(broker.uri, clock=clock) as main:
        await until(lambda: _has(broker, "ticks", 5), what="5 ticks")
        ahead_us = HOUR_US
        await until(lambda: value(main, MISSED_OF_FAST) > 170_000, what="an hour is missed")
        ahead_us, asked = 0, 0
        await until(lambda: asked >= 2, what="it has looked at the clock")
        before = await broker.messages("ticks")
        ahead_us = HOUR_US
        await until(lambda: _has(broker, "ticks", before + 5), what="it goes on")

    ticks = await ticks_in(broker, "ticks")
    assert 170_000 < ticks.gaps <= value(main, MISSED_OF_FAST)


@pytest.mark.fault("P17")
@pytest.mark.parametrize("prelude", ["", NO_DISK_YET], ids=["on disk", "in memory yet"])
async def test_sigterm_with_a_thousand_unconfirmed_leaves_them_to_the_next_start(
    broker: Broker, tmp_path: Path, prelude: str
) -> None:
    (tmp_path / "mine.py").write_text(prelude + A_THOUSAND)
    await bind(broker.uri, "ones", "one")

    async with (
        proxied(broker.uri) as proxy,
        service("producer", "mine", folder=tmp_path, AMQP_URI=proxy.uri, DATA=".") as running,
    ):
        await running.says('"connected"')
        proxy.hold()
        (tmp_path / "go").touch()
        await until(lambda: _unconfirmed(running, 1000), what="a thousand are under way")
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == EXIT_OK

    kept = waiting(tmp_path)
    assert len(kept) == 1000
    (tmp_path / "mine.py").write_text(A_THOUSAND)
    assert '"unsent_events_kept","service":"producer","events":1000' in running.output
    async with service("producer", "mine", folder=tmp_path, AMQP_URI=broker.uri, DATA="."):
        await until(lambda: waiting(tmp_path) == [], what="all are sent")

    arrived = await arrived_in(broker, "ones")
    assert set(arrived) == set(kept)
    assert sorted(number for number, _ in arrived.values()) == list(range(1000))


async def _has(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) >= count


async def _unconfirmed(running: Service, count: int) -> bool:
    return await running.metric("tidings_outbox_depth") >= count
