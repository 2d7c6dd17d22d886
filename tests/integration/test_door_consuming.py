"""The door's contract, consuming: whatever carries the data behind it must pass these."""

import asyncio

import pytest

from common.broker import Connection, connect
from common.errors import AccessRefused, TopologyMismatch
from common.message import Delivery, Message, Publishing
from common.topology import Binding, Exchange, Queue, Topology
from support.broker import Broker
from support.door import fill, take
from support.waiting import until


async def test_deliveries_come_in_the_order_of_the_queue(connection: Connection) -> None:
    await fill(connection, 50)

    taken, _ = await take(connection, 50)

    assert [int(one.message.body) for one in taken] == list(range(50))


async def test_no_more_are_under_way_than_the_prefetch(connection: Connection) -> None:
    await fill(connection, 10)
    taken, _ = await take(connection, 3, prefetch=3)

    assert len(taken) == 3
    assert taken[1].ack()
    await until(lambda: len(taken) == 4)


async def test_acked_is_gone_and_nacked_comes_again(broker: Broker, connection: Connection) -> None:
    await fill(connection, 4)
    taken, subscription = await take(connection, 4)
    for delivery in taken[:3]:
        assert delivery.ack()
    assert taken[3].nack()

    await until(lambda: len(taken) == 5)

    assert (taken[4].message.body, taken[4].redelivered) == (b"3", True)
    assert taken[4].ack()
    await subscription.close()
    assert await broker.messages("q") == 0


async def test_what_was_acked_before_closing_does_not_come_again(
    broker: Broker, connection: Connection
) -> None:
    """Without a round trip, the broker drops the last acks of a channel that closes at once."""
    await fill(connection, 300)
    taken, subscription = await take(connection, 300, prefetch=1000)
    for delivery in taken:
        delivery.ack()
    await subscription.close()

    assert await broker.messages("q") == 0


async def test_after_cancel_nothing_arrives_and_what_is_unsettled_goes_back_at_close(
    broker: Broker, connection: Connection
) -> None:
    await fill(connection, 5)
    taken, subscription = await take(connection, 2, prefetch=2)
    await subscription.cancel()
    taken[0].ack()
    await subscription.close()

    assert len(taken) == 2
    await until(lambda: _holds(broker, "q", 4), what="four messages ready")


async def test_a_delivery_is_settled_once_and_late_settles_are_dropped(
    broker: Broker, connection: Connection
) -> None:
    await fill(connection, 2)
    taken, subscription = await take(connection, 2)

    assert taken[0].ack()
    assert not taken[0].ack()
    assert not taken[0].nack()
    await broker.close_all_connections()
    await until(subscription.ended.done)
    assert not taken[1].alive()
    assert not taken[1].ack()


async def test_a_deleted_queue_ends_the_subscription_with_its_reason(
    broker: Broker, connection: Connection
) -> None:
    subscription = await connection.subscribe("q", prefetch=1, on_delivery=lambda _: None)
    await broker.delete_queue("q")

    reason = await asyncio.wait_for(subscription.ended, 5)

    assert "cancelled" in reason
    assert not connection.closed.is_set()


async def test_consuming_what_is_not_there_says_so(connection: Connection) -> None:
    with pytest.raises(TopologyMismatch, match="queue 'nowhere' does not exist"):
        await connection.subscribe("nowhere", prefetch=1, on_delivery=lambda _: None)


async def test_a_user_without_the_right_to_read_is_told_what(
    broker: Broker, connection: Connection
) -> None:
    uri = await broker.create_user(read="^$")
    async with connect(uri, name="weak") as weak:
        with pytest.raises(AccessRefused, match="queue 'q'"):
            await weak.subscribe("q", prefetch=1, on_delivery=lambda _: None)


async def test_rejected_comes_again_and_in_the_end_the_delivery_limit_sets_it_aside(
    broker: Broker, connection: Connection
) -> None:
    await connection.ensure(
        Topology(
            exchanges=(Exchange("last", "fanout"),),
            queues=(
                Queue("aside"),
                Queue(
                    "short",
                    (
                        ("x-queue-type", "quorum"),
                        ("x-delivery-limit", 3),
                        ("x-dead-letter-exchange", "last"),
                    ),
                    unlimited=False,
                ),
            ),
            bindings=(Binding("last", "aside"), Binding("q", "short", "kept.#")),
        ),
        "declare",
    )
    bodies: list[bytes] = []

    def refuse(delivery: Delivery) -> None:
        bodies.append(delivery.message.body)
        delivery.reject()

    await connection.subscribe("short", prefetch=5, on_delivery=refuse)
    await connection.publish(Publishing("q", "kept.a", Message(b"poison")))

    await until(lambda: _holds(broker, "aside", 1), what="the message is set aside")
    assert bodies == [b"poison"] * 4


async def _holds(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
