"""What is not handled: garbage, duplicates, expired, without a handler; nothing vanishes."""

import pytest
from pydantic import BaseModel

from common.envelope import to_message
from common.event import Event
from common.message import HeaderValue, Message
from common.topology import dead_name
from consumer.retrying import RetryPolicy
from support.broker import Broker
from support.names import Names
from support.services import consuming, dead_letters, drained, emit, send
from support.waiting import until
from tidings import handler

QUICK = RetryPolicy(attempts=3, first_delay=0.05, factor=1.0, longest_delay=0.05)


class Order(BaseModel):
    order: int


CLOUDEVENT = b'{"specversion":"1.0","id":"1","source":"s","type":"order.created"'


GARBAGE: dict[str, tuple[Message, str]] = {
    "not JSON": (Message(b"{nope"), "malformed"),
    "nothing": (Message(b""), "malformed"),
    "bad UTF-8": (Message(b'"\xff\xfe"'), "malformed"),
    "UTF-16": (Message('{"a":1}'.encode("utf-16")), "malformed"),
    "NaN": (Message(b'{"a":NaN}'), "malformed"),
    "too deep": (Message(b"[" * 100_000), "malformed"),
    "a number of 5000 digits and rubbish": (Message(b"1" * 5000 + b"x"), "malformed"),
    "pickle": (Message(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94."), "malformed"),
    "not an object": (
        Message(b"[]", content_type="application/cloudevents+json"),
        "malformed",
    ),
    "no id": (Message(CLOUDEVENT.replace(b'"id":"1",', b"") + b"}"), "malformed"),
    "no source": (Message(CLOUDEVENT.replace(b'"source":"s",', b"") + b"}"), "malformed"),
    "wrong specversion": (Message(CLOUDEVENT.replace(b"1.0", b"7.3") + b"}"), "malformed"),
    "both kinds of data": (
        Message(CLOUDEVENT + b',"data":1,"data_base64":"AA=="}'),
        "malformed",
    ),
    "a batch": (Message(b"[]", content_type="application/cloudevents-batch+json"), "malformed"),
    "half binary mode": (Message(b"{}", headers={"ce-id": "1"}), "malformed"),
    "wrong payload": (Message(CLOUDEVENT + b',"data":{"order":"seven"}}'), "invalid_payload"),
    "null payload": (Message(CLOUDEVENT.replace(b'"1"', b'"2"') + b"}"), "invalid_payload"),
    "another event under a used id": (Message(CLOUDEVENT + b',"data":{"order":8}}'), "conflict"),
    "too large": (Message(b'"' + b"x" * 1_100_000 + b'"'), "too_large"),
    "forged headers": (
        Message(
            b"{nope",
            headers={
                "x-death": "forged",
                "x-delivery-count": "abc",
                "tidings-attempt": -5,
                "tidings-hop": "many",
                "tidings-attempt-times": [1],
            },
        ),
        "malformed",
    ),
}


@pytest.mark.fault("C31", "C32", "C33", "C34", "C36")
async def test_garbage_of_every_kind_is_set_aside_with_its_reason_and_its_bytes(
    broker: Broker, names: Names
) -> None:
    handled: list[int] = []

    @handler("order.created")
    async def charge(order: Order) -> None:
        handled.append(order.order)

    wanted = {(message.body, reason) for message, reason in GARBAGE.values()}
    async with consuming(broker.uri, names.group, charge):
        await send(broker.uri, *(message for message, _ in GARBAGE.values()), type_="order.created")
        letters = await drained(broker.uri, dead_name(names.group), len(GARBAGE))
        await emit(broker.uri, "order.created", {"order": 7}, prefix="fine")
        await until(lambda: handled == [7])

    assert {(one.message.body, one.message.headers["tidings-reason"]) for one in letters} == wanted
    assert all("tidings-message" in one.message.headers for one in letters)


@pytest.mark.fault("C34")
async def test_a_retry_keeps_the_bytes_and_the_foreign_headers(
    broker: Broker, names: Names
) -> None:
    headers: dict[str, HeaderValue] = {
        "traceparent": "00-a-b-01",
        "mine": 5,
        "x-tenant": "a",
        "x-death": "forged",
    }

    @handler("order.created", retry=QUICK)
    async def charge() -> None:
        raise ValueError("x")

    body = b'  {"order" : 7.000}  '
    async with consuming(broker.uri, names.group, charge):
        await send(broker.uri, Message(body, headers=headers, app_id="x"), type_="order.created")
        (letter,) = await drained(broker.uri, dead_name(names.group), 1)

    assert letter.message.body == body
    assert (letter.message.headers["traceparent"], letter.message.headers["mine"]) == (
        "00-a-b-01",
        5,
    )
    assert letter.message.headers["x-tenant"] == "a"
    assert "x-death" not in letter.message.headers
    assert letter.message.message_id, "a message without an id got one that lasts"


async def test_an_expired_event_is_set_aside(broker: Broker, names: Names) -> None:
    @handler("order.created")
    async def charge() -> None:
        raise AssertionError("it must not run")

    event = Event(
        "order.created", id="1", source="s", extensions={"expirytime": "2020-01-01T00:00:00Z"}
    )
    async with consuming(broker.uri, names.group, charge):
        await send(broker.uri, to_message(event), type_="order.created")
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert letter.reason == "expired"


@pytest.mark.fault("C36")
async def test_a_duplicate_is_handled_once(broker: Broker, names: Names) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    message = to_message(Event("order.created", id="same", source="s"))
    last = to_message(Event("order.created", id="last", source="s"))
    async with consuming(broker.uri, names.group, charge, concurrency=1):
        await send(broker.uri, message, message, message, last, type_="order.created")
        await until(lambda: "last" in seen)

    assert seen == ["same", "last"]
    assert await broker.messages(names.group) == 0


async def test_without_a_handler_an_event_moves_on_to_a_replica_that_has_one(
    broker: Broker, names: Names
) -> None:
    """A rolling deploy: the new replica has bound its type, the old one gets some of its events."""
    seen: list[int] = []

    @handler("old.type")
    async def old() -> None:
        """What the old version handles."""

    @handler("new.type")
    async def new(event: Event) -> None:
        seen.append(event.data)

    async with (
        consuming(broker.uri, names.group, old, no_handler_for=30.0),
        consuming(broker.uri, names.group, old, new, no_handler_for=30.0),
    ):
        await emit(broker.uri, "new.type", *range(12))
        await until(lambda: len(seen) == 12, within=40)

    assert sorted(seen) == list(range(12))
    assert await broker.messages(dead_name(names.group)) == 0


async def test_without_a_handler_for_too_long_an_event_is_set_aside(
    broker: Broker, names: Names
) -> None:
    @handler("old.type")
    async def old() -> None:
        """What this version handles."""

    @handler("gone.type")
    async def gone() -> None:
        """What a former version handled: its binding is still there."""

    async with consuming(broker.uri, names.group, old, gone):
        pass
    async with consuming(broker.uri, names.group, old, no_handler_for=0.5):
        await emit(broker.uri, "gone.type", 1)
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert (letter.reason, letter.type, letter.attempts) == ("no_handler", "gone.type", 0)
