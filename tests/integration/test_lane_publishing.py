"""Publishing on the lane: what one publish does to its neighbours, large bodies, callbacks."""

import asyncio
from functools import partial

import pytest

from common.broker import Connection, connect
from common.errors import AccessRefused, InvalidEvent
from common.message import Answer, Confirmed, Message, Publishing, Returned, Unknown
from support.broker import Broker
from support.door import queue_topology, take
from support.proxy import proxied
from support.waiting import until

MEBIBYTE = 1024 * 1024
Told = list[tuple[int, Answer | AccessRefused | InvalidEvent]]


def small(number: int) -> Publishing:
    return Publishing("q", "kept.a", Message(b"%d" % number, message_id=str(number)))


def largest_message(version: tuple[int, int]) -> int:
    """Return what the broker takes unless it is told otherwise."""
    return (16 if version >= (4, 0) else 128) * MEBIBYTE


@pytest.mark.fault("P9")
async def test_of_a_message_over_the_brokers_limit_only_it_fails(
    broker: Broker, connection: Connection
) -> None:
    """The broker closes the channel for it, with fifty others in flight on it."""
    assert await connection.publish(small(0)) == Confirmed()
    huge = Publishing("q", "kept.a", Message(bytes(largest_message(broker.version) + 1)))
    publishings = [*map(small, range(1, 26)), huge, *map(small, range(26, 51))]

    answers = await asyncio.gather(
        *(connection.publish(one, timeout=60) for one in publishings), return_exceptions=True
    )

    assert isinstance(answers.pop(25), InvalidEvent)
    assert {type(one) for one in answers} <= {Confirmed, Unknown}
    assert await connection.publish(small(99)) == Confirmed()
    assert not connection.closed.is_set()
    confirmed = sum(isinstance(one, Confirmed) for one in answers)
    assert await broker.messages("q") >= confirmed + 2


@pytest.mark.fault("P8")
async def test_a_missing_exchange_with_fifty_in_flight_does_not_end_the_connection(
    connection: Connection,
) -> None:
    """With aiormq alone, what it still writes on the closed channel ends the connection."""
    assert await connection.publish(small(0)) == Confirmed()
    lost = Publishing("nowhere", "k", Message(b""))
    publishings = [*map(small, range(1, 26)), lost, *map(small, range(26, 51))]

    answers = await asyncio.gather(*map(connection.publish, publishings))
    more = await asyncio.gather(*map(connection.publish, publishings[:25]))

    assert isinstance(answers[25], Unknown)
    assert {type(one) for one in answers} <= {Confirmed, Unknown}
    assert set(more) == {Confirmed()}
    assert not connection.closed.is_set()


async def test_answers_come_to_callbacks_later_and_each_to_its_own(connection: Connection) -> None:
    """Given one message twice, once with a key that leads nowhere; in every order of the two."""
    same = Message(b"same", message_id="same")
    told: Told = []

    def note(number: int, answer: Answer | AccessRefused | InvalidEvent) -> None:
        told.append((number, answer))

    await connection.until_sendable()

    for number, key in enumerate(("kept.a", "lost", "lost", "kept.a", "kept.a", "lost")):
        connection.send(Publishing("q", key, same), partial(note, number))
        assert told == [], "an answer came within send"

    await until(lambda: len(told) == 6)
    assert [type(answer) for _, answer in sorted(told, key=lambda one: one[0])] == [
        Confirmed,
        Returned,
        Returned,
        Confirmed,
        Confirmed,
        Returned,
    ]


async def test_what_cannot_be_written_is_said_at_once_and_harms_nobody(
    connection: Connection,
) -> None:
    told: list[object] = []
    await connection.until_sendable()
    for bad in (
        small(1)._replace(routing_key="x" * 256),
        small(1)._replace(message=Message(b"", message_id="ü" * 128)),
        small(1)._replace(message=Message(b"", type="\ud800")),
        small(1)._replace(message=Message(b"", headers={"x": "x" * 131072})),
    ):
        with pytest.raises(InvalidEvent):
            connection.send(bad, told.append)
        with pytest.raises(InvalidEvent):
            await connection.publish(bad)

    connection.send(small(2), told.append)
    await until(lambda: told)
    assert told == [Confirmed()]


@pytest.mark.fault("P3")
async def test_a_cut_connection_answers_each_callback_once(
    broker: Broker, connection: Connection
) -> None:
    async with proxied(broker.uri) as proxy, connect(proxy.uri, name="cut") as cut:
        assert await cut.publish(small(0)) == Confirmed()
        proxy.hold()
        told: list[object] = []
        for number in range(100):
            cut.send(small(number), told.append)
        await until(lambda: broker.messages("q"), what="something arrives")
        assert told == []
        proxy.abort()
        await until(cut.closed.is_set)
        assert not cut.sendable
        await cut.until_sendable()  # returns: it is over

    assert [type(one) for one in told] == [Unknown] * 100


async def test_a_deadline_answers_each_callback_once_and_later_answers_are_dropped(
    broker: Broker, connection: Connection
) -> None:
    async with proxied(broker.uri) as proxy, connect(proxy.uri, name="late") as late:
        assert await late.publish(small(0)) == Confirmed()
        proxy.hold()
        told: list[object] = []
        for number in range(10):
            late.send(small(number), told.append, timeout=0.2)
        await until(lambda: len(told) == 10)
        proxy.abort()
        await until(late.closed.is_set)

    assert [type(one) for one in told] == [Unknown] * 10


@pytest.mark.parametrize("size", [MEBIBYTE, 15 * MEBIBYTE, 131072 - 8, 131072 - 7, 0])
async def test_a_body_of_any_size_goes_there_and_comes_back(
    connection: Connection, size: int
) -> None:
    """131,064 bytes fill one frame to the last."""
    body = bytes(range(251)) * (size // 251 + 1)
    sent = Message(body[:size], message_id="large")

    assert await connection.publish(Publishing("q", "kept.a", sent), timeout=60) == Confirmed()
    (delivery,), subscription = await take(connection, 1)

    assert delivery.message == sent
    assert delivery.ack()
    await subscription.close()
    assert await connection.depth("q") == 0


async def test_bytes_that_are_no_utf8_go_there_and_come_back(connection: Connection) -> None:
    sent = Message(
        b"\xff",
        content_type="\udcff",
        message_id="a\udcfe",
        app_id="\udc80",
        timestamp=2**62,
        headers={"n\udcff": "\udcfe", "b": b"\xff"},
    )

    assert await connection.publish(Publishing("q", "kept.\udcff", sent)) == Confirmed()
    (delivery,), _ = await take(connection, 1)

    assert delivery.message == sent
    assert delivery.routing_key == "kept.\udcff"


async def test_two_publishers_behind_one_full_socket_both_get_their_answers(
    connection: Connection,
) -> None:
    """Given more than the socket takes, `sendable` says so, and everything arrives in the end."""
    await connection.ensure(queue_topology("other"), "declare")
    await connection.until_sendable()
    told: list[object] = []
    for _ in range(20):
        connection.send(
            Publishing("q", "kept.a", Message(bytes(MEBIBYTE))), told.append, timeout=60
        )
    await until(lambda: not connection.sendable, what="the socket is full")

    answer = await connection.publish(Publishing("other", "kept.a", Message(b"")), timeout=60)
    await until(lambda: len(told) == 20, within=60)

    assert {*told, answer} == {Confirmed()}


@pytest.mark.fault("P9")
async def test_a_type_that_the_user_may_not_publish_fails_alone(
    broker: Broker, connection: Connection
) -> None:
    """Topic permissions; the broker closes the channel for it, with others in flight on it."""
    uri = await broker.create_user()
    await broker.allow_topics(uri, "q", write="^kept[.]a$")
    forbidden = Publishing("q", "kept.secret", Message(b""))
    async with connect(uri, name="weak") as weak:
        assert await weak.publish(small(0)) == Confirmed()

        answers = await asyncio.gather(
            *(weak.publish(one) for one in (small(1), forbidden, small(2))), return_exceptions=True
        )

        assert isinstance(answers.pop(1), InvalidEvent)
        assert {type(one) for one in answers} <= {Confirmed, Unknown}
        assert await weak.publish(small(3)) == Confirmed()


async def test_who_is_told_that_the_connection_went_finds_it_closed(
    broker: Broker, connection: Connection
) -> None:
    """So that he waits for the next one, instead of thinking that the broker said no."""
    closed: list[bool] = []
    async with proxied(broker.uri) as proxy, connect(proxy.uri, name="door") as cut:
        await cut.until_sendable()
        proxy.hold()
        cut.send(small(1), lambda _: closed.append(cut.closed.is_set()))
        await until(lambda: broker.messages("q"), what="it has arrived")
        proxy.abort()
        await until(lambda: closed)

    assert closed == [True]
