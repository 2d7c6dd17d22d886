"""Two replicas for a minute, of which one is killed every few seconds and started again."""

import asyncio
import random
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.errors import EXIT_OK
from support.broker import Broker
from support.copies import arrived_in
from support.processes import Service, service
from support.producing import bind
from support.waiting import until

SECONDS = 60
SHORTEST, LONGEST = 2.0, 5.0
"""Seconds between two kills."""

MODULE = """
from tidings import Event, Tick, source

@source(every="100ms", name="all", missed="catch_up(1000)")
async def every_tick(tick: Tick) -> Event:
    return Event("all", tick.number)

@source(every="100ms", name="skips", missed="skip")
async def some_ticks(tick: Tick) -> Event:
    return Event("skips", tick.number)
"""


@dataclass
class Replica:
    """One of them: an outbox of its own, and one process after the other."""

    name: str
    uri: str
    folder: Path
    lives: AsyncExitStack
    started: int = 0

    async def start(self) -> Service:
        self.started += 1
        return await self.lives.enter_async_context(
            service(
                *("producer", "mine"),
                folder=self.folder,
                name=f"{self.name}-{self.started}",
                AMQP_URI=self.uri,
                SOURCE="shop",
                OUTBOX=f"sqlite:///{self.name}.db",
            )
        )


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.fault("P16", "P13", "P14")
async def test_two_replicas_killed_for_a_minute_make_each_tick_once_and_miss_none(
    broker: Broker, tmp_path: Path
) -> None:
    """After the copies are taken away by their ids; with `skip` some are missing, none differs."""
    (tmp_path / "mine.py").write_text(MODULE)
    await bind(broker.uri, "all", "all")
    await bind(broker.uri, "skips", "skips")
    dice = random.Random(11)
    loop = asyncio.get_running_loop()

    async with AsyncExitStack() as lives:
        replicas = [Replica(name, broker.uri, tmp_path, lives) for name in ("first", "second")]
        running = [await one.start() for one in replicas]
        await until(lambda: broker.messages("all"), what="one ticks")
        end = loop.time() + SECONDS
        while loop.time() < end:
            # The faults come at random moments: nothing is waited for.
            await asyncio.sleep(dice.uniform(SHORTEST, LONGEST))
            victim = dice.randrange(2)
            running[victim].kill()
            assert await running[victim].exit_code() == -signal.SIGKILL
            running[victim] = await replicas[victim].start()
        for one in running:
            await one.says('"connected"')
        goal = await broker.messages("all") + 20
        await until(lambda: _has(broker, "all", goal), what="they go on")
        for one in running:
            one.signal(signal.SIGTERM)
            assert await one.exit_code() == EXIT_OK
            assert '"unsent":0' in one.output

    kills = sum(one.started for one in replicas) - 2
    made = sorted(number for number, _ in (await arrived_in(broker, "all")).values())
    assert kills >= 10
    assert len(made) >= SECONDS * 9
    assert made == list(range(made[0], made[-1] + 1))
    skipping = [number for number, _ in (await arrived_in(broker, "skips")).values()]
    assert len(skipping) == len(set(skipping))


async def _has(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) >= count
