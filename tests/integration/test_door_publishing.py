"""The door's contract, publishing: whatever carries the data behind it must pass these."""

import asyncio

import pytest

from common.broker import Connection, connect
from common.errors import AccessRefused
from common.message import Confirmed, Message, Nacked, Publishing, Returned, Unknown
from support.broker import Broker, OwnBroker
from support.door import queue_topology, take
from support.proxy import proxied
from support.waiting import until


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


@pytest.mark.fault("P3")
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
