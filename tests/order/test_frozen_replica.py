"""A replica that is frozen for longer than its heartbeats: its successor goes on without it."""

import signal
from pathlib import Path

import pytest

from producer.facade import Producer
from support.broker import Broker
from support.names import Names
from support.processes import service
from support.waiting import until

MODULE = """
import asyncio, os
from tidings import Event, handler

LOG = os.open("handled", os.O_APPEND | os.O_CREAT | os.O_WRONLY)

@handler("order.created")
async def charge(event: Event) -> None:
    os.write(LOG, f"{os.getpid()} {event.data}\\n".encode())
    await asyncio.sleep(0.01)
"""
EVENTS = 4000


@pytest.mark.timeout(180)
@pytest.mark.parametrize("order", ["fifo", "key"])
async def test_what_a_frozen_replica_had_in_hand_is_not_started_by_it_when_it_wakes(
    broker: Broker, names: Names, tmp_path: Path, order: str
) -> None:
    (tmp_path / "shop.py").write_text(MODULE)

    def handled() -> list[tuple[str, int]]:
        log = tmp_path / "handled"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(pid, int(number)) for pid, number in map(str.split, lines)]

    where = {
        "AMQP_URI": broker.uri, "GROUP": names.group, "ORDER": order, "PARTITIONS": "1",
    }  # fmt: skip
    async with (
        service("consumer", "shop", folder=tmp_path, name="one", **where) as one,
        Producer(broker.uri) as producer,
    ):
        await one.says("subscribed" if order == "fifo" else "partitions_taken")
        async with service("consumer", "shop", folder=tmp_path, name="two", **where) as two:
            await two.says("subscribed")
            for number in range(EVENTS):
                await producer.publish("order.created", number, key="k")
                if number == 300:
                    await until(lambda: len(handled()) > 50)
                    one.signal(signal.SIGSTOP)
                    frozen = handled()[-1][0]
            await until(lambda: handled()[-1][0] != frozen, within=60, what="the other took over")
            one.signal(signal.SIGCONT)
            await one.says("no sign of life", within=20)
            await until(
                lambda: {number for _, number in handled()} == set(range(EVENTS)), within=90
            )

    numbers = [number for _, number in handled()]
    once = list(dict.fromkeys(numbers))
    assert once == list(range(EVENTS))
    assert len(numbers) - len(once) <= 1, "the one that ran when it was frozen"
