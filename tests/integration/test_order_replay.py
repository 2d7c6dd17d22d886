"""Dead letters of a group with an order: they left it, and come back into it at its end."""

import pytest

from common.topology import dead_name
from producer.facade import Producer
from support.broker import Broker
from support.command import tidings
from support.names import Names
from support.services import consuming
from support.waiting import until
from tidings import Event, Reject, handler


@pytest.mark.parametrize("order", ["fifo", "key"])
async def test_dead_letters_are_replayed_into_the_group_whatever_its_order(
    broker: Broker, names: Names, order: str
) -> None:
    handled: list[str] = []
    mended = False

    @handler("order.created")
    async def charge(event: Event) -> None:
        if not mended and event.data == "bad":
            raise Reject("the rules are wrong")
        handled.append(event.id)

    dead = dead_name(names.group)
    async with consuming(broker.uri, names.group, charge, order=order, partitions=4):
        async with Producer(broker.uri) as producer:
            for number in range(20):
                data = "bad" if number % 4 == 1 else "good"
                await producer.publish("order.created", data, id=f"e{number}", key=f"k{number % 3}")
        await until(lambda: _holds(broker, dead, 5), what="five dead letters")
        mended = True
        said = await tidings(broker.uri, "dead", "replay", "--all", "--group", names.group)
        await until(lambda: len(handled) == 20)

    assert said.code == 0
    assert "to that group alone" in said.err
    assert set(handled[15:]) == {"e1", "e5", "e9", "e13", "e17"}
    assert await broker.messages(dead) == 0
    assert await broker.messages("events.unrouted") == 0


async def _holds(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
