"""Messages that take other consumers down: each is one dead letter here, and harms nobody.

With aio-pika alone, one bad property drops the connection, for each delivery again, and the
messages beside it are lost with it.
"""

import struct

import pytest

from common.group_topology import group_topology
from common.message import Delivery
from common.topology import EVENTS, dead_name
from support.broker import Broker
from support.command import tidings
from support.names import Names
from support.raw import raw_publishing
from support.services import broker_connection, consuming, drained
from support.waiting import until
from support.wire import short, table
from tidings import Context, Event, handler

BAD = short(b"\xff\xfe")
PERSISTENT = (0x1000, b"\x02")
AS_EVENT = (0x8000, short(b"application/cloudevents+json"))


def seconds(count: int) -> bytes:
    return struct.pack(">Q", count)


def headers(name: bytes, field: bytes) -> bytes:
    return table(short(name) + field)


def nested(depth: int) -> bytes:
    content = short(b"x") + b"V"
    for _ in range(depth):
        content = short(b"x") + b"F" + table(content)
    return table(content)


Properties = list[tuple[int, bytes]]

MALFORMED: dict[str, Properties] = {
    "content-type": [(0x8000, BAD)],
    "content-encoding": [AS_EVENT, (0x4000, BAD)],
    "header-name": [AS_EVENT, (0x2000, headers(b"n\xff", b"S" + table(b"v")))],
    "header-value": [AS_EVENT, (0x2000, headers(b"n", b"S" + table(b"\xff\xfe")))],
    "nested-too-deep": [AS_EVENT, (0x2000, nested(200))],
    "correlation-id": [AS_EVENT, (0x0400, BAD)],
    "message-id": [AS_EVENT, (0x0080, BAD)],
    "year-146-billion": [AS_EVENT, (0x0040, seconds(2**62))],
    "microseconds": [AS_EVENT, (0x0040, seconds(1_700_000_000_000_000))],
    "type": [AS_EVENT, (0x0020, BAD)],
    "app-id": [AS_EVENT, (0x0008, BAD)],
}
"""What pamqp raises at, drops the connection for, or can be read by nobody; in order of flags."""

ODD: dict[str, Properties] = {
    "mode-three": [AS_EVENT, (0x1000, b"\x03")],
    "milliseconds": [AS_EVENT, (0x0040, seconds(253402300799999))],
    "no-headers": [AS_EVENT, (0x2000, table(b""))],
    "nested-deep": [AS_EVENT, (0x2000, nested(60))],
    "nobody": [],
}
"""Unusual, and harmless."""


def event(identity: str) -> bytes:
    return (
        f'{{"specversion":"1.0","id":"{identity}","source":"raw","type":"order.created"}}'
    ).encode()


@pytest.mark.fault("C35")
async def test_a_malformed_message_is_one_dead_letter_and_its_neighbours_are_handled(
    broker: Broker, names: Names
) -> None:
    """Given events with bad messages between them, when one consumer holds them all at once."""
    group, handled = names.group, list[tuple[str, int]]()

    @handler("order.created")
    async def charge(event: Event, ctx: Context) -> None:
        handled.append((event.id, ctx.attempt))

    async with broker_connection(broker.uri) as connection:
        await connection.ensure(
            group_topology(group, ["order.created"], longest_delay=1), "declare"
        )
    good, bad = await _publish(broker)
    async with consuming(broker.uri, group, charge, concurrency=100) as main:
        letters = await drained(broker.uri, dead_name(group), len(bad))
        await until(lambda: len(handled) >= len(good), what="the good events")
        metrics, _ = main.metrics.render()

    assert sorted(handled) == sorted((one, 1) for one in good)
    assert {_id(one): one.message.headers["tidings-reason"] for one in letters} == dict.fromkeys(
        bad, "malformed"
    )
    assert {one.message.body for one in letters} == {event(name) for name in bad}
    assert all(one.message.headers["tidings-message"] for one in letters)
    assert b'tidings_connected{role="consume"} 1.0' in metrics
    assert b'tidings_reconnects_total{role="consume"}' not in metrics  # it is the first one still
    assert await broker.messages(group) == await broker.messages(dead_name(group)) == 0


@pytest.mark.fault("C35")
async def test_a_dead_letter_keeps_the_bytes_that_nobody_can_read(
    broker: Broker, names: Names
) -> None:
    @handler("order.created")
    async def charge() -> None: ...

    async with consuming(broker.uri, names.group, charge):
        async with raw_publishing(broker.uri, EVENTS, "order.created") as send:
            await send(event("x"), (0x8000, BAD), PERSISTENT, (0x0040, seconds(2**62)), (8, BAD))
        (letter,) = await drained(broker.uri, dead_name(names.group), 1)

    assert (letter.message.content_type, letter.message.app_id) == ("\udcff\udcfe",) * 2
    assert letter.message.timestamp == 2**62


@pytest.mark.fault("C35")
async def test_a_malformed_message_is_listed_shown_and_replayed(
    broker: Broker, names: Names
) -> None:
    group = names.group

    @handler("order.created")
    async def charge() -> None: ...

    async with consuming(broker.uri, group, charge):
        async with raw_publishing(broker.uri, EVENTS, "order.created") as send:
            for name, properties in MALFORMED.items():
                await send(event(name), *_in_order(PERSISTENT, *properties))
        await until(lambda: _holds(broker, dead_name(group), len(MALFORMED)))
    listed = await tidings(broker.uri, "dead", "list", "--json", "--group", group)
    shown = [
        await tidings(broker.uri, "dead", "show", one["id"], "--group", group)
        for one in listed.objects
        if one["id"]
    ]
    replayed = await tidings(broker.uri, "dead", "replay", "--all", "--group", group)

    assert [one["reason"] for one in listed.objects] == ["malformed"] * len(MALFORMED)
    assert {one.code for one in shown} == {0}
    assert (replayed.code, await broker.messages(dead_name(group))) == (0, 0)
    back = await drained(broker.uri, group, len(MALFORMED))
    assert {one.message.body for one in back} == {event(name) for name in MALFORMED}


async def _publish(broker: Broker) -> tuple[set[str], set[str]]:
    """Publish good and bad in turn; return the names of what the broker took of each."""
    good, bad = set[str](), set[str]()
    async with raw_publishing(broker.uri, EVENTS, "order.created") as send:
        for number, (name, properties) in enumerate({**MALFORMED, **ODD}.items()):
            if await send(event(f"good-{number}"), AS_EVENT, PERSISTENT):
                good.add(f"good-{number}")
            if await send(event(name), *_in_order(PERSISTENT, *properties)):
                (bad if name in MALFORMED else good).add(name)
        assert await send(event("last"), AS_EVENT, PERSISTENT)
    assert bad == MALFORMED.keys()
    return good | {"last"}, bad


def _in_order(*properties: tuple[int, bytes]) -> Properties:
    """Return each property once, the last one given, in the order of the wire."""
    return sorted(dict(properties).items(), reverse=True)


def _id(delivery: Delivery) -> str:
    return delivery.message.body.split(b'"')[7].decode()


async def _holds(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
