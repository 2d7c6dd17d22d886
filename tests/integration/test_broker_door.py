"""The contract of the door `common.broker`: whatever carries the data behind it must pass these.

Nothing here knows the AMQP library: the tests go through the door, and look at the broker with the
administrator's eyes of the `broker` fixture.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from common.broker import Connection, Subscription, connect
from common.errors import AccessRefused, BrokerUnavailable, TopologyMismatch
from common.message import Confirmed, Delivery, Message, Nacked, Publishing, Returned, Unknown
from common.topology import EVENTS, UNROUTED, Binding, Exchange, Queue, Topology, events_topology
from support.broker import Broker, OwnBroker
from support.proxy import proxied
from support.waiting import until


def queue_topology(name: str, *arguments: tuple[str, str | int]) -> Topology:
    """A queue behind an exchange of the same name, without an alternate exchange."""
    return Topology(
        exchanges=(Exchange(name, "topic"),),
        queues=(Queue(name, (("x-queue-type", "quorum"), *arguments)),),
        bindings=(Binding(name, name, "kept.#"),),
    )


@pytest.fixture
async def connection(broker: Broker) -> AsyncIterator[Connection]:
    async with connect(broker.uri, name="door") as opened:
        await opened.ensure(queue_topology("q"), "declare")
        yield opened


async def take(
    connection: Connection, count: int, *, prefetch: int = 100
) -> tuple[list[Delivery], Subscription]:
    taken: list[Delivery] = []
    subscription = await connection.subscribe("q", prefetch=prefetch, on_delivery=taken.append)
    await until(lambda: len(taken) >= count, what=f"{count} deliveries")
    return taken, subscription


# --- publishing -------------------------------------------------------------------------------


async def test_a_routed_message_is_confirmed_and_stored(
    broker: Broker, connection: Connection
) -> None:
    assert await connection.publish(Publishing("q", "kept.a", Message(b"1"))) == Confirmed()

    assert await broker.messages("q") == 1


async def test_every_property_and_header_arrives_as_it_was_sent(connection: Connection) -> None:
    sent = Message(
        b"\x00\xff body",
        content_type="application/x",
        content_encoding="identity",
        message_id="id",
        correlation_id="corr",
        type="kept.a",
        app_id="app",
        timestamp=1795521600,
        priority=9,
        headers={"text": "ü", "number": 2**40, "flag": True, "list": [1, "a"], "table": {"a": 1}},
    )
    await connection.publish(Publishing("q", "kept.a", sent))

    (delivery,), _ = await take(connection, 1)

    assert delivery.message == sent
    assert (delivery.exchange, delivery.routing_key, delivery.redelivered) == (
        "q",
        "kept.a",
        False,
    )


async def test_absent_properties_stay_absent(connection: Connection) -> None:
    await connection.publish(Publishing("q", "kept.a", Message(b"", message_id="x")))

    (delivery,), _ = await take(connection, 1)

    assert delivery.message == Message(b"", message_id="x")


async def test_headers_of_foreign_kinds_can_be_sent_on(connection: Connection) -> None:
    headers = {"bytes": b"\xff", "huge": 2**70, "none": None, "nested": {"b": [b"\x00", 2**64]}}

    answer = await connection.publish(Publishing("q", "kept.a", Message(b"", headers=headers)))

    assert answer == Confirmed()


async def test_a_message_nobody_is_bound_for_is_returned(connection: Connection) -> None:
    answer = await connection.publish(Publishing("q", "lost", Message(b"")))

    assert isinstance(answer, Returned)


async def test_two_publishes_with_one_message_id_get_each_its_own_answer(
    connection: Connection,
) -> None:
    """With one id in flight twice, aiormq alone reports success for a dropped message."""
    publishings = [
        Publishing("q", key, Message(b"", message_id="same"))
        for key in ("lost", "kept.a", "lost", "lost", "kept.b")
    ]

    answers = await asyncio.gather(*map(connection.publish, publishings))

    assert [type(answer) for answer in answers] == [
        Returned,
        Confirmed,
        Returned,
        Returned,
        Confirmed,
    ]


async def test_a_full_queue_is_a_nack(connection: Connection) -> None:
    await connection.ensure(
        queue_topology("full", ("x-max-length", 1), ("x-overflow", "reject-publish")), "declare"
    )

    answers = [
        await connection.publish(Publishing("full", "kept.a", Message(b""))) for _ in range(10)
    ]

    assert answers[0] == Confirmed()
    assert answers[-1] == Nacked()


async def test_a_missing_exchange_is_unknown_and_the_next_publish_works(
    connection: Connection,
) -> None:
    answer = await connection.publish(Publishing("nowhere", "kept.a", Message(b"")))

    assert isinstance(answer, Unknown)
    assert "nowhere" in answer.why
    assert await connection.publish(Publishing("q", "kept.a", Message(b""))) == Confirmed()


async def test_five_hundred_publishes_at_once_are_all_confirmed(
    broker: Broker, connection: Connection
) -> None:
    publishings = [
        Publishing("q", "kept.a", Message(b"%d" % n, message_id=str(n))) for n in range(500)
    ]

    answers = await asyncio.gather(*map(connection.publish, publishings))

    assert set(answers) == {Confirmed()}
    assert await broker.messages("q") == 500


async def test_a_connection_lost_while_publishing_answers_unknown_and_raises_nothing(
    broker: Broker, connection: Connection
) -> None:
    """Given 300 publishes whose confirms are stuck, when the socket is cut, each is Unknown."""
    async with proxied(broker.uri) as proxy, connect(proxy.uri, name="door") as cut:
        assert await cut.publish(Publishing("q", "kept.a", Message(b""))) == Confirmed()
        proxy.hold()
        running = [
            asyncio.create_task(cut.publish(Publishing("q", "kept.a", Message(b"x" * 1000))))
            for _ in range(300)
        ]
        await until(lambda: broker.messages("q"), what="something arrives")
        proxy.abort()

        answers = await asyncio.gather(*running)

        assert {type(answer) for answer in answers} == {Unknown}
        await until(cut.closed.is_set)
        assert cut.reason


async def test_cancelling_a_publish_cancels_it(connection: Connection) -> None:
    publishing = asyncio.create_task(connection.publish(Publishing("q", "kept.a", Message(b""))))
    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert await connection.publish(Publishing("q", "kept.a", Message(b""))) == Confirmed()


async def test_a_user_without_the_right_to_publish_is_told_where(
    broker: Broker, connection: Connection
) -> None:
    uri = await broker.create_user(write="^$")
    async with connect(uri, name="weak") as weak:
        with pytest.raises(AccessRefused, match="exchange 'q'"):
            await weak.publish(Publishing("q", "kept.a", Message(b"")))


@pytest.mark.serial
@pytest.mark.harms
async def test_a_publish_to_a_frozen_broker_ends_at_its_deadline(own_broker: OwnBroker) -> None:
    async with connect(own_broker.uri, name="door") as connection:
        await connection.ensure(queue_topology("q"), "declare")
        await own_broker.pause()
        answer = await connection.publish(Publishing("q", "kept.a", Message(b"")), timeout=0.5)
        await own_broker.unpause()

    assert isinstance(answer, Unknown)


@pytest.mark.serial
@pytest.mark.harms
async def test_a_silent_peer_is_given_up(own_broker: OwnBroker) -> None:
    """A frozen broker keeps its sockets open; only the missing heartbeats tell."""
    async with connect(own_broker.uri, name="door") as connection:
        await own_broker.pause()
        await until(connection.closed.is_set, within=25)
        await own_broker.unpause()

    assert "no sign of life" in connection.reason


# --- consuming --------------------------------------------------------------------------------


async def fill(connection: Connection, count: int) -> None:
    for number in range(count):
        await connection.publish(Publishing("q", "kept.a", Message(b"%d" % number)))


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
    assert await broker.messages("q") == 4


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


# --- connecting and topology ------------------------------------------------------------------


async def test_a_wrong_password_is_said_without_the_password(broker: Broker) -> None:
    user = await broker.create_user()
    uri = user.replace("@", "-s3ntinel@", 1)

    with pytest.raises(AccessRefused, match="refused the user or the password") as caught:
        async with connect(uri, name="door"):
            pass
    assert "s3ntinel" not in str(caught.value)


async def test_a_virtual_host_that_is_not_there_is_named(broker: Broker) -> None:
    uri = broker.uri.replace(broker.vhost, "nowhere")

    with pytest.raises(AccessRefused, match="virtual host"):
        async with connect(uri, name="door"):
            pass


async def test_nobody_listening_can_be_tried_again(unused_tcp_port: int) -> None:
    with pytest.raises(BrokerUnavailable, match="not reachable"):
        async with connect(f"amqp://u:p@127.0.0.1:{unused_tcp_port}/", name="door"):
            pass


async def test_a_server_that_is_no_broker_does_not_hang_us(unused_tcp_port: int) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(chat, "127.0.0.1", unused_tcp_port):
        with pytest.raises(BrokerUnavailable):
            async with connect(f"amqp://u:p@127.0.0.1:{unused_tcp_port}/", name="door"):
                pass


async def test_declaring_twice_is_fine_and_checking_finds_it(connection: Connection) -> None:
    topology = events_topology()
    await connection.ensure(topology, "declare")
    await connection.ensure(topology, "declare")

    await connection.ensure(topology, "check")


async def test_checking_names_everything_that_is_missing(connection: Connection) -> None:
    with pytest.raises(TopologyMismatch) as caught:
        await connection.ensure(events_topology(), "check")

    for name in (f"exchange '{EVENTS}'", f"exchange '{UNROUTED}'", f"queue '{UNROUTED}'"):
        assert name in str(caught.value)


async def test_a_queue_with_other_arguments_is_named_with_the_difference(
    connection: Connection,
) -> None:
    with pytest.raises(TopologyMismatch, match=r"queue 'q'.*x-max-length"):
        await connection.ensure(queue_topology("q", ("x-max-length", 5)), "declare")
    assert await connection.publish(Publishing("q", "kept.a", Message(b""))) == Confirmed()


async def test_a_user_who_may_not_configure_is_told_what(broker: Broker) -> None:
    uri = await broker.create_user(configure="^$")
    async with connect(uri, name="weak") as weak:
        with pytest.raises(AccessRefused, match=f"exchange '{UNROUTED}'.*TIDINGS_TOPOLOGY=check"):
            await weak.ensure(events_topology(), "declare")


async def test_the_depth_of_a_queue_is_what_is_ready(connection: Connection) -> None:
    await fill(connection, 3)

    assert await connection.depth("q") == 3
    with pytest.raises(TopologyMismatch, match="nowhere"):
        await connection.depth("nowhere")


async def test_the_version_is_the_brokers(broker: Broker, connection: Connection) -> None:
    assert connection.version == broker.version
