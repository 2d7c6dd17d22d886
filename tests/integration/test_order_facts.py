"""What the ordered homes rely on in a broker, shown by the broker alone."""

import pytest

from common.broker import Connection, Subscription, connect
from common.group_topology import group_topology
from common.homes import Home, home_of
from common.message import Confirmed, Delivery, Message, Publishing
from common.slot import SLOT, slot_of
from common.topology import EVENTS, return_name
from support.broker import Broker
from support.names import Names
from support.waiting import until

WINDOW = 20


async def declared(connection: Connection, home: Home) -> None:
    topology = group_topology(home.group, ["order.created"], longest_delay=1, home=home)
    await connection.ensure(topology, "declare")


async def fill(connection: Connection, home: Home, *bodies: int) -> None:
    for body in bodies:
        answer = await connection.publish(
            Publishing(return_name(home.group), home.group, Message(str(body).encode()))
        )
        assert isinstance(answer, Confirmed)


class Taking:
    """A consumer that writes down what it gets, and acks what it is told to."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []

    async def begin(self, connection: Connection, queue: str, prefetch: int) -> Subscription:
        return await connection.subscribe(queue, prefetch=prefetch, on_delivery=self.taken.append)

    @property
    def numbers(self) -> list[int]:
        return [int(one.message.body) for one in self.taken]


@pytest.mark.parametrize("prefetch", [1, WINDOW])
async def test_after_a_dropped_socket_the_unsettled_come_in_their_order_before_the_newer(
    broker: Broker, names: Names, prefetch: int
) -> None:
    home = home_of(names.group, "fifo", 0)
    leaving, waiting = Taking(), Taking()
    async with connect(broker.uri, name="stays") as other:
        async with connect(broker.uri, name="leaves") as connection:
            await declared(connection, home)
            await fill(connection, home, *range(100))
            subscription = await leaving.begin(connection, home.entrance, prefetch)
            await until(lambda: len(leaving.taken) == prefetch)
            await waiting.begin(other, home.entrance, 1000)
            leaving.taken[0].ack()
            await subscription.flush()
            await connection.drop("to keep the order")
        await until(lambda: len(waiting.taken) == 99, what="all but the one that was acked")
        assert waiting.numbers == list(range(1, 100))


async def test_a_standby_gets_nothing_before_the_active_consumer_is_gone(
    broker: Broker, names: Names
) -> None:
    home = home_of(names.group, "fifo", 0)
    first, second = Taking(), Taking()
    async with connect(broker.uri, name="standby") as other:
        async with connect(broker.uri, name="active") as connection:
            await declared(connection, home)
            await first.begin(connection, home.entrance, 10)
            await second.begin(other, home.entrance, 10)
            await fill(connection, home, *range(30))
            await until(lambda: len(first.taken) == 10)
            assert not second.taken
            await connection.drop("gone")
        await until(lambda: second.numbers == list(range(10)), what="the standby took over")


async def test_a_slot_leads_to_one_partition_and_what_has_none_to_the_other_one(
    broker: Broker, names: Names
) -> None:
    home = home_of(names.group, "key", 4)
    async with connect(broker.uri, name="slots") as connection:
        await declared(connection, home)
        for number in range(64):
            message = Message(b"1", headers={SLOT: str(number)})
            await connection.publish(Publishing(EVENTS, "order.created", message))
        for headers in ({}, {SLOT: "64"}, {SLOT: 3}, {SLOT: "x"}):
            message = Message(b"1", headers=headers)
            answer = await connection.publish(Publishing(EVENTS, "order.created", message))
            assert isinstance(answer, Confirmed)
        key = Message(b"1", headers={SLOT: slot_of("customer-7")})
        await connection.publish(Publishing(return_name(home.group), home.group, key))

        depths = [await connection.depth(name) for name in home.queue_names]

    assert sum(depths[:4]) == 65 + (depths[4] == 3)
    assert all(one >= 16 for one in depths[:4])
    assert depths[4] in (3, 4), "a number that is no text: versions differ"
    assert await broker.messages("events.unrouted") == 0
