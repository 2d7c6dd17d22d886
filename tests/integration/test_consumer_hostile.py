"""Senders that mean harm: huge bodies, JSON bombs, forged headers; handled, or set aside."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from common.message import HeaderValue, Message
from common.topology import dead_name, suspects_name
from support.broker import Broker
from support.names import Names
from support.processes import service
from support.proxy import proxied
from support.services import consuming, dead_letters, drained, emit, send
from support.waiting import until
from tidings import Context, Event, RetryPolicy, handler

LIMIT = 1024 * 1024
MEASURING = """
import pathlib, resource
from tidings import Event, handler

@handler("order.created")
async def charge(event: Event) -> None:
    with open("sizes", "a") as file:
        file.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\\n")
"""
BOMBS = {
    "empty arrays": b"[" + b"[]," * (LIMIT // 3 - 2) + b"0]",
    "objects": b"[" + b'{"a":{}},' * (LIMIT // 9 - 2) + b"0]",
    "many names": json.dumps({str(number): 0 for number in range(80_000)}).encode(),
    "escapes": b'"' + b"\\u0000" * (LIMIT // 6 - 2) + b'"',
    "long numbers": b"[" + b",".join([b"1" * 4000] * 250) + b"]",
}
"""All just under the limit, and well-formed."""
REFUSED_BOMBS = {"deep": b"[" * (LIMIT - 1), "digits": b"1" * (LIMIT - 1), "infinite": b"1e999"}
GROWTH = 256 * 1024
"""KiB: of all bombs at once, a body and its objects are 28 MiB at most."""


@pytest.mark.fault("C33")
async def test_bombs_of_json_are_handled_or_set_aside_and_memory_stays_bounded(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(MEASURING)
    where = {"AMQP_URI": broker.uri, "GROUP": names.group, "CONCURRENCY": "4"}
    async with service("consumer", "shop", folder=tmp_path, **where) as one:
        await one.says("subscribed")
        await emit(broker.uri, "order.created", "the first")
        await until(lambda: len(sizes(tmp_path)) == 1)
        bombs = [*BOMBS.values(), *REFUSED_BOMBS.values()] * 2
        await send(broker.uri, *map(Message, bombs), type_="order.created")
        letters = await dead_letters(broker.uri, names.group, 2 * len(REFUSED_BOMBS))
        await until(lambda: len(sizes(tmp_path)) == 1 + 2 * len(BOMBS), within=30)
        await emit(broker.uri, "order.created", "the last", prefix="last")
        await until(lambda: len(sizes(tmp_path)) == 2 + 2 * len(BOMBS))
        assert "delivery_failed" not in one.output

    assert {letter.reason for letter in letters} == {"malformed"}
    first, *_, last = sizes(tmp_path)
    assert last - first < GROWTH


def sizes(folder: Path) -> list[int]:
    """The largest the process has been so far, each time a handler ran; KiB."""
    log = folder / "sizes"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


@pytest.mark.fault("C33")
async def test_a_body_as_large_as_the_broker_takes_is_set_aside_and_its_neighbours_are_handled(
    broker: Broker, names: Names
) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    size = (15 if broker.version >= (4, 0) else 40) * LIMIT
    huge = Message(b'"' + b"x" * size + b'"', message_id="huge")
    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", 1, 2, prefix="before")
        await send(broker.uri, huge, type_="order.created")
        await emit(broker.uri, "order.created", 1, 2, prefix="after")
        (letter,) = await drained(broker.uri, dead_name(names.group), 1, within=30)
        await until(lambda: len(seen) == 4)

    assert letter.message.headers["tidings-reason"] == "too_large"
    assert letter.message.body == huge.body
    assert sorted(seen) == ["after0", "after1", "before0", "before1"]


FORGED: dict[str, dict[str, HeaderValue]] = {
    "a count of returns": {"x-delivery-count": 99},
    "a count that is no number": {"x-delivery-count": "abc"},
    "a count below nothing": {"x-delivery-count": -1},
    "a count that is true": {"x-delivery-count": True, "x-acquired-count": 99},
    "deaths of the broker": {"x-death": [{"count": 999999, "queue": "x"}]},
    "deaths alone": {"tidings-deaths-alone": 3},
    "copies": {"CC": ["order.paid", "mail.sent"], "BCC": ["order.paid"]},
    "words for numbers": {"tidings-attempt": "9", "tidings-hop": "many", "tidings-replays": [1]},
    "numbers below nothing": {"tidings-attempt": -5, "tidings-hop": -1, "tidings-snoozed-ms": -9},
    "times that are none": {"tidings-attempt-times": [1], "tidings-first-failed": "yesterday"},
    "another place": {"tidings-exchange": 7, "tidings-routing-key": {"a": 1}},
    "half of binary mode": {"traceparent": 5, "content-type": None},
}
KINDS = (None, "text/plain", "application/octet-stream", "APPLICATION/JSON", "no kind at all;;;")


def forged_messages() -> list[Message]:
    """One for each row, with content types of all kinds; each has a body of its own."""
    rows = enumerate({"none": {}, **FORGED}.items())
    return [
        Message(b"%d" % number, KINDS[number % len(KINDS)], message_id=name, headers=headers)
        for number, (name, headers) in rows
    ]


@pytest.mark.fault("C34")
async def test_forged_and_odd_headers_make_no_suspect_and_no_attempt(
    broker: Broker, names: Names
) -> None:
    """Each event fails once, so that its headers are also those of a copy."""
    attempts: Counter[tuple[str, int]] = Counter()

    @handler("order.created", retry=RetryPolicy(attempts=2, first_delay=0.05, factor=1))
    async def charge(event: Event, ctx: Context) -> None:
        attempts[event.id, ctx.attempt] += 1
        if ctx.attempt == 1:
            raise ValueError("once")

    messages = forged_messages()
    async with consuming(broker.uri, names.group, charge) as main:
        await send(broker.uri, *messages, type_="order.created")
        await until(lambda: len(attempts) == 2 * len(messages))
        metrics = main.metrics.render()[0].decode()

    assert attempts == {(str(one.message_id), number): 1 for one in messages for number in (1, 2)}
    assert 'outcome="isolated"' not in metrics
    assert await broker.messages(names.group) == await broker.messages(dead_name(names.group)) == 0


@pytest.mark.fault("C34")
async def test_a_forged_count_does_not_kill_an_event_whose_connection_is_lost(
    broker: Broker, names: Names
) -> None:
    """Given events with forged counts in hand when the connection goes: they really come back."""
    handled: Counter[str] = Counter()
    started, release = list[str](), asyncio.Event()

    @handler("order.created")
    async def charge(event: Event) -> None:
        started.append(event.id)
        await release.wait()
        handled[event.id] += 1

    messages = forged_messages()
    async with proxied(broker.uri) as proxy, consuming(proxy.uri, names.group, charge) as main:
        await send(broker.uri, *messages, type_="order.created")
        await until(lambda: len(started) == len(messages))
        proxy.abort()
        await until(lambda: not main.health.ready)
        release.set()
        await until(lambda: main.health.ready)
        await until(lambda: _is_empty(broker, names.group), within=20)

    assert handled == {str(one.message_id): 1 for one in messages}
    assert await broker.messages(dead_name(names.group)) == 0


LARGEST = 2**63 - 1


@pytest.mark.fault("C34")
@pytest.mark.parametrize(
    "name",
    [
        "tidings-attempt",
        "tidings-hop",
        "tidings-replays",
        "tidings-snoozed-ms",
        "tidings-first-failed",
        "tidings-no-handler-since",
    ],
)
async def test_a_number_of_ours_that_is_as_large_as_can_be_is_a_dead_letter_at_most(
    broker: Broker, names: Names, name: str
) -> None:
    """A sender may write our headers: what is counted on from there still fits its field."""

    @handler("order.created", retry=RetryPolicy(attempts=2, first_delay=0.05, factor=1))
    async def charge() -> None:
        raise ValueError("x")

    message = Message(b"{}", message_id="forged", headers={name: LARGEST})
    async with consuming(broker.uri, names.group, charge):
        await send(broker.uri, message, type_="order.created")
        (letter,) = await dead_letters(broker.uri, names.group, 1, within=5)

    assert (letter.id, letter.reason) == ("forged", "attempts_spent")


async def _is_empty(broker: Broker, group: str) -> bool:
    return not (await broker.messages(group) or await broker.messages(suspects_name(group)))
