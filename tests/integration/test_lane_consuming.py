"""Consuming on the lane: many large deliveries, slow handlers, and each way for it to end."""

import asyncio

import pytest

from common.broker import Connection, connect
from common.broker.fastlane.methods import ack_frame
from common.message import Confirmed, Delivery, Message, Publishing
from support.broker import Broker
from support.door import fill, take
from support.proxy import proxied
from support.waiting import until


async def test_a_hundred_events_of_64_kib_with_a_prefetch_of_a_thousand_are_delivered_and_acked(
    broker: Broker, connection: Connection
) -> None:
    bodies = [bytes([number]) * 65536 for number in range(100)]
    answers = await asyncio.gather(
        *(connection.publish(Publishing("q", "kept.a", Message(body))) for body in bodies)
    )
    assert set(answers) == {Confirmed()}

    taken, subscription = await take(connection, 100, prefetch=1000)
    # Sorted: publishes that run beside each other have no order.
    assert sorted(one.message.body for one in taken) == bodies
    assert all(one.ack() for one in taken)
    await subscription.close()

    assert await broker.messages("q") == 0


async def test_one_slow_delivery_does_not_hold_back_its_neighbours(connection: Connection) -> None:
    """Each ack brings the next one, although the first delivery stays open all the time."""
    await fill(connection, 30)
    taken: list[Delivery] = []

    def all_but_the_first(delivery: Delivery) -> None:
        taken.append(delivery)
        if delivery.message.body != b"0":
            delivery.ack()

    subscription = await connection.subscribe("q", prefetch=3, on_delivery=all_but_the_first)
    await until(lambda: len(taken) == 30)
    assert taken[0].ack()
    await subscription.close()

    assert await connection.depth("q") == 0


async def test_settles_of_every_kind_in_one_turn_reach_the_broker(connection: Connection) -> None:
    await fill(connection, 9)
    taken, subscription = await take(connection, 9)

    for number, delivery in enumerate(taken):
        assert (delivery.ack, delivery.nack, delivery.reject)[number % 3]()

    await until(lambda: len(taken) == 15)
    assert {one.message.body for one in taken[9:]} == {b"1", b"2", b"4", b"5", b"7", b"8"}
    assert all(one.redelivered and one.ack() for one in taken[9:])
    await subscription.close()
    assert await connection.depth("q") == 0


@pytest.mark.fault("C28")
async def test_a_channel_that_the_broker_closes_ends_the_subscription_and_nothing_else(
    connection: Connection,
) -> None:
    await fill(connection, 2)
    taken, subscription = await take(connection, 2)
    other = await connection.subscribe("q", prefetch=1, on_delivery=lambda _: None)

    connection._lane.write(ack_frame(subscription._number, 999, multiple=False))
    reason = await asyncio.wait_for(subscription.ended, 5)

    assert "406" in reason
    assert "unknown delivery tag 999" in reason
    assert not taken[0].alive()
    assert [taken[0].ack(), taken[0].nack(), taken[1].reject()] == [False] * 3
    assert not connection.closed.is_set()
    assert other.alive()
    await other.close()
    again, _ = await take(connection, 2)
    assert [one.redelivered for one in again] == [True, True]
    assert all(one.ack() for one in again)


@pytest.mark.fault("C28")
async def test_a_consumer_that_the_broker_cancels_leaves_the_connection(
    broker: Broker, connection: Connection
) -> None:
    await fill(connection, 1)
    taken, subscription = await take(connection, 1)
    await broker.delete_queue("q")

    reason = await asyncio.wait_for(subscription.ended, 5)

    assert "its queue is gone or moved" in reason
    assert not taken[0].ack()
    await subscription.cancel()  # too late, and no error
    await subscription.close()
    assert not connection.closed.is_set()


@pytest.mark.fault("C24")
async def test_a_cut_connection_ends_the_subscription_and_late_settles_are_nothing(
    broker: Broker, connection: Connection
) -> None:
    await fill(connection, 3)
    async with proxied(broker.uri) as proxy, connect(proxy.uri, name="cut") as cut:
        taken, subscription = await take(cut, 3)
        proxy.abort()
        reason = await asyncio.wait_for(subscription.ended, 5)

        assert reason
        assert not any(one.alive() or one.ack() or one.nack() or one.reject() for one in taken)
        await subscription.cancel()
        await subscription.close()

    again, _ = await take(connection, 3)
    assert all(one.ack() for one in again)


async def test_what_is_acked_in_the_turn_of_its_arrival_is_acked(
    broker: Broker, connection: Connection
) -> None:
    await fill(connection, 100)
    bodies: list[bytes] = []

    def at_once(delivery: Delivery) -> None:
        bodies.append(delivery.message.body)
        assert delivery.ack()

    subscription = await connection.subscribe("q", prefetch=10, on_delivery=at_once)
    await until(lambda: len(bodies) == 100)
    await subscription.close()

    assert await broker.messages("q") == 0
    assert len(set(bodies)) == 100
