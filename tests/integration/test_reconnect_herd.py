"""A hundred consumers that lose their broker at one moment do not come back at one moment."""

import asyncio
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import pytest

from common.broker import Connection, Supervisor, supervisor
from common.broker.supervisor import _delay
from common.metrics import Metrics
from common.probes import Health
from support.broker import Broker
from support.proxy import proxied
from support.waiting import until

MOST = 0.5
"""Of the reconnects in any one second."""
CONSUMERS = 100


def share_of_the_worst_second(moments: Iterable[float]) -> float:
    """Return how many of them are in the second, begun at any moment, that has most."""
    found = sorted(moments)
    most = max(bisect_left(found, one + 1.0) - place for place, one in enumerate(found))
    return most / len(found)


def back_after(outage: float, dice: Callable[[], float]) -> float:
    """Return when a consumer is back whose broker is away for so long; a try takes no time."""
    now, failures = 0.0, 0
    while now < outage:
        failures += 1
        now += _delay(failures, dice())
    return now


@pytest.mark.fault("C42")
@pytest.mark.parametrize("outage", [1.5, 2, 3, 4, 6, 8, 10, 15, 60])
def test_after_an_outage_of_seconds_at_most_half_are_back_in_any_one_second(outage: float) -> None:
    """Ten thousand consumers in thought, so that the dice do not matter."""
    dice = random.Random(42)
    back = [back_after(outage, dice.random) for _ in range(10_000)]

    assert share_of_the_worst_second(back) <= MOST
    assert max(back) < outage + 5


@pytest.mark.serial
@pytest.mark.fault("C42")
async def test_a_hundred_consumers_come_back_spread_over_seconds(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real connections, each with dice of its own that fall the same in each run."""
    loop = asyncio.get_running_loop()
    dice: dict[str, random.Random] = {}
    tries, back = 0, list[float]()

    def roll() -> float:
        nonlocal tries
        tries += 1
        task = asyncio.current_task()
        assert task is not None
        return dice.setdefault(task.get_name(), random.Random(task.get_name())).random()

    async def session(connection: Connection) -> None:
        back.append(loop.time())
        await connection.closed.wait()

    monkeypatch.setattr(supervisor, "random", SimpleNamespace(random=roll))
    async with proxied(broker.uri) as proxy:
        links = [
            asyncio.create_task(_supervisor(proxy.uri).run(session), name=f"consumer {number}")
            for number in range(CONSUMERS)
        ]
        try:
            await until(lambda: len(back) == CONSUMERS, within=60, what="all are connected")
            proxy.down()
            await until(lambda: tries >= 4 * CONSUMERS, within=30, what="each has tried often")
            back.clear()
            returned = loop.time()
            proxy.up()
            await until(lambda: len(back) == CONSUMERS, within=30, what="all are back")
        finally:
            for link in links:
                link.cancel()
            await asyncio.wait(links)

    assert min(back) >= returned
    assert share_of_the_worst_second(back) <= MOST


def _supervisor(uri: str) -> Supervisor:
    health, metrics = Health("consume"), Metrics()
    return Supervisor(uri, name="herd", role="consume", health=health, metrics=metrics)
