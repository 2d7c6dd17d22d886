"""Events that kill their process: they run alone, and die after three deaths; nobody else does."""

import asyncio
import os
from pathlib import Path

import pytest

from common.topology import suspects_name
from producer.facade import Producer
from support.broker import Broker
from support.names import Names
from support.processes import Service, service
from support.proxy import proxied
from support.services import consuming, dead_letters
from support.waiting import until
from tidings import Event, handler

MODULE = """
import os
from pathlib import Path
from tidings import Context, Event, handler

@handler("order.created")
async def charge(event: Event) -> None:
    if event.data == "poison":
        os.abort()
    with open("handled", "a") as log:
        log.write(f"{event.data}\\n")
"""
NEIGHBOURS = 30


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(MODULE)
    return tmp_path


def handled(folder: Path) -> list[str]:
    log = folder / "handled"
    return log.read_text().split() if log.exists() else []


class Restarts:
    """Starts the consumer again when it dies, as Kubernetes does."""

    def __init__(self, uri: str, group: str, folder: Path) -> None:
        self._settings = {"AMQP_URI": uri, "GROUP": group}
        self._folder = folder
        self.deaths = 0

    async def run(self, name: str) -> None:
        while True:
            async with service(
                "consumer", "shop", folder=self._folder, name=name, **self._settings
            ) as one:
                await self._ended(one)
            self.deaths += 1

    async def _ended(self, one: Service) -> None:
        await one.exit_code(within=600)


@pytest.fixture(autouse=True)
def close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deaths alone are spaced by 8 s and 32 s; in this process's own consumers, by less."""
    monkeypatch.setattr("consumer.suspicion.SPACING", (0.1, 0.1))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.fault("C20")
async def test_an_event_that_kills_its_process_is_set_aside_as_crashed_and_takes_nobody_along(
    broker: Broker, names: Names, shop: Path, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    (shop / "sitecustomize.py").write_text(
        "import consumer.suspicion\nconsumer.suspicion.SPACING = (0.5, 0.5)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{shop}{os.pathsep}{Path(__file__).parents[2]}")
    restarts = Restarts(broker.uri, names.group, shop)
    running = [asyncio.create_task(restarts.run(f"c{number}")) for number in range(replicas)]
    try:
        async with Producer(broker.uri) as producer:
            await until(lambda: _subscribed(broker, names.group, replicas), within=30)
            for number in range(NEIGHBOURS):
                if number == NEIGHBOURS // 2:
                    await producer.publish("order.created", "poison", id="poison")
                await producer.publish("order.created", f"n{number}")
        (letter,) = await dead_letters(broker.uri, names.group, 1, within=150)
        await until(lambda: len(set(handled(shop))) == NEIGHBOURS, within=30)
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)

    assert (letter.reason, letter.id) == ("crashed", "poison")
    assert "3 times" in letter.message
    assert set(handled(shop)) == {f"n{number}" for number in range(NEIGHBOURS)}


async def _subscribed(broker: Broker, group: str, replicas: int) -> bool:
    if group not in await broker.queues():
        return False
    return await broker.consumers(group) == replicas


@pytest.mark.fault("C20", "C24")
async def test_lost_connections_and_replacements_kill_nobody(broker: Broker, names: Names) -> None:
    """Given connections lost again and again while events are in hand: none is dead as crashed."""
    seen: set[str] = set()
    gate = asyncio.Event()

    @handler("order.created")
    async def charge(event: Event) -> None:
        await gate.wait()
        seen.add(event.id)

    async with (
        proxied(broker.uri) as proxy,
        Producer(broker.uri) as producer,
        consuming(proxy.uri, names.group, charge) as main,
    ):
        for number in range(40):
            await producer.publish("order.created", number, id=str(number))
        for _ in range(8):
            await until(lambda: main.health.ready, within=15)
            proxy.abort()
            await until(lambda: not main.health.ready)
        await until(lambda: main.health.ready, within=15)
        gate.set()
        await until(lambda: len(seen) == 40, within=60)
        await until(lambda: _empty(broker, names.group), within=30)

    assert await broker.messages(f"{names.group}.dead") == 0


async def _empty(broker: Broker, group: str) -> bool:
    return not (await broker.messages(group) or await broker.messages(suspects_name(group)))
