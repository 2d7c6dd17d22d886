"""What becomes of a delivery, on a real broker: handled, retried, set aside, given back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import BaseModel

from common.envelope import to_message
from common.event import Event
from common.message import HeaderValue, Message
from common.topology import dead_name
from consumer.exits import Reject, Retry, Snooze
from consumer.policy import RetryPolicy
from support.broker import Broker
from support.names import Names
from support.services import consuming, dead_letters, drained, emit, send
from support.waiting import until
from tidings import Context, handler, lifespan

QUICK = RetryPolicy(attempts=3, first_delay=0.05, factor=1.0, longest_delay=0.05)


class Order(BaseModel):
    order: int


async def test_an_event_is_handled_and_leaves_the_queue(broker: Broker, names: Names) -> None:
    seen: list[Event] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event)

    async with consuming(broker.uri, names.group, charge):
        (sent,) = await emit(broker.uri, "order.created", {"order": 7})
        await until(lambda: seen)

    assert [(one.id, one.data, one.time) for one in seen] == [("e0", {"order": 7}, sent.time)]
    assert await broker.messages(names.group) == 0


async def test_parameters_come_by_annotation(broker: Broker, names: Names) -> None:
    seen: list[tuple[Any, ...]] = []

    @dataclass
    class Line:
        sku: str

    @handler("model")
    async def model(order: Order, ctx: Context, event: Event) -> None:
        seen.append((order, ctx.attempt, ctx.attempts, ctx.group, event.type))

    @handler("data.class")
    async def data_class(line: Line) -> None:
        seen.append((line,))

    @handler("nothing")
    async def nothing() -> None:
        seen.append(())

    async with consuming(broker.uri, names.group, model, data_class, nothing):
        await emit(broker.uri, "model", {"order": 7}, prefix="a")
        await until(lambda: len(seen) == 1)
        await emit(broker.uri, "data.class", {"sku": "x"}, prefix="b")
        await until(lambda: len(seen) == 2)
        await emit(broker.uri, "nothing", None, prefix="c")
        await until(lambda: len(seen) == 3)

    assert seen == [(Order(order=7), 1, 10, names.group, "model"), (Line("x"),), ()]


async def test_plain_functions_run_beside_the_event_loop(broker: Broker, names: Names) -> None:
    """Given a handler that blocks until the loop has done something, it can finish."""
    loop = asyncio.get_running_loop()
    done: list[int] = []

    @handler("sync")
    def blocking(event: Event) -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=5)
        done.append(event.data)

    async with consuming(broker.uri, names.group, blocking):
        await emit(broker.uri, "sync", 1, 2, 3)
        await until(lambda: sorted(done) == [1, 2, 3])


async def test_wildcards_take_what_no_exact_handler_takes(broker: Broker, names: Names) -> None:
    seen: list[tuple[str, str]] = []

    @handler("order.created")
    async def exact(event: Event) -> None:
        seen.append(("exact", event.type))

    @handler("order.#")
    async def wild(event: Event) -> None:
        seen.append(("wild", event.type))

    async with consuming(broker.uri, names.group, exact, wild):
        for number, type_ in enumerate(("order.created", "order.paid", "order")):
            await emit(broker.uri, type_, None, prefix=f"{number}-")
        await until(lambda: len(seen) == 3)

    assert sorted(seen) == [("exact", "order.created"), ("wild", "order"), ("wild", "order.paid")]


async def test_a_failure_is_retried_and_then_succeeds(broker: Broker, names: Names) -> None:
    attempts: list[int] = []

    @handler("order.created", retry=QUICK)
    async def charge(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise RuntimeError("not yet")

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", {})
        await until(lambda: attempts == [1, 2, 3])

    assert await broker.messages(names.group) == 0
    assert await broker.messages(dead_name(names.group)) == 0


async def test_attempts_spent_is_a_dead_letter_that_says_why(broker: Broker, names: Names) -> None:
    @handler("order.created", retry=QUICK)
    async def charge(order: Order) -> None:
        raise LookupError(f"no such card for {order.order}")

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", {"order": 7})
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert (letter.reason, letter.error, letter.message) == (
        "attempts_spent",
        "LookupError",
        "no such card for 7",
    )
    assert (letter.id, letter.type, letter.source) == ("e0", "order.created", "test")
    assert letter.attempts == len(letter.attempt_times_ms) == 3
    assert letter.first_failed_ms == letter.attempt_times_ms[0] < letter.last_failed_ms
    assert "in charge" in letter.traceback
    assert letter.handler.endswith("charge")
    assert letter.group == names.group
    assert letter.host
    assert (letter.history.exchange, letter.history.routing_key) == ("events", "order.created")


async def test_reject_sets_aside_at_once(broker: Broker, names: Names) -> None:
    runs: list[int] = []

    @handler("order.created")
    async def charge(ctx: Context) -> None:
        runs.append(ctx.attempt)
        raise Reject("the customer is gone")

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", {})
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert (letter.reason, letter.message, runs) == ("rejected", "the customer is gone", [1])


async def test_snooze_comes_back_without_counting(broker: Broker, names: Names) -> None:
    attempts: list[int] = []

    @handler("order.created", attempts=1)
    async def charge(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) < 3:
            raise Snooze("the bank is closed", for_="100ms")

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", {})
        await until(lambda: attempts == [1, 1, 1])

    assert await broker.messages(dead_name(names.group)) == 0


async def test_retry_waits_as_long_as_the_handler_asks(broker: Broker, names: Names) -> None:
    times: list[float] = []

    @handler("order.created", attempts=2)
    async def charge() -> None:
        times.append(asyncio.get_running_loop().time())
        raise Retry(after="1.2s")

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", {})
        await dead_letters(broker.uri, names.group, 1)

    assert times[1] - times[0] >= 1.2, "it came earlier than asked"


async def test_a_tier_nobody_foresaw_is_made_on_demand(broker: Broker, names: Names) -> None:
    @handler("order.created", attempts=2)
    async def charge() -> None:
        raise Retry(after="3h")

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", {})
        tier = f"{names.group}.delay.v1.16384s"

        async def waiting() -> bool:
            return tier in await broker.queues() and await broker.messages(tier) == 1

        await until(waiting)


async def test_a_handler_that_hangs_is_timed_out_and_retried(broker: Broker, names: Names) -> None:
    attempts: list[int] = []

    @handler("order.created", timeout="50ms", retry=QUICK)
    async def hang(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await asyncio.Event().wait()

    async with consuming(broker.uri, names.group, hang):
        await emit(broker.uri, "order.created", {})
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert attempts == [1, 2, 3]
    assert (letter.error, letter.message) == (
        "TimeoutError",
        "not finished within its timeout of 0.05s",
    )


def _raiser(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "plain"])
async def test_whatever_a_handler_raises_the_consumer_goes_on(
    broker: Broker, names: Names, *, asynchronous: bool
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("I will not say")

    errors: list[BaseException] = [
        ValueError("x"),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        RecursionError("deep"),
        MemoryError(),
        StopIteration(),
        ExceptionGroup("g", [ValueError("a"), KeyError("b")]),
        Mute(),
        ValueError("x" * 10_000_000),
    ]
    handled: list[Any] = []

    @handler("bad", attempts=1)
    async def bad(event: Event) -> None:
        _raiser(errors[event.data])()

    @handler("bad", attempts=1)
    def bad_plain(event: Event) -> None:
        _raiser(errors[event.data])()

    @handler("good")
    async def good(event: Event) -> None:
        handled.append(event.data)

    chosen = bad if asynchronous else bad_plain
    async with consuming(broker.uri, names.group, chosen, good):
        await emit(broker.uri, "bad", *range(len(errors)))
        letters = await dead_letters(broker.uri, names.group, len(errors))
        await emit(broker.uri, "good", "still here", prefix="g")
        await until(lambda: handled == ["still here"])

    assert {letter.reason for letter in letters} == {"attempts_spent"}
    assert sorted(letter.id for letter in letters) == sorted(f"e{n}" for n in range(len(errors)))


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


async def test_a_retry_keeps_the_bytes_and_the_foreign_headers(
    broker: Broker, names: Names
) -> None:
    headers: dict[str, HeaderValue] = {"traceparent": "00-a-b-01", "mine": 5, "x-custom": "gone"}

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
    assert "x-custom" not in letter.message.headers
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


async def test_a_duplicate_is_handled_once(broker: Broker, names: Names) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    message = to_message(Event("order.created", id="same", source="s"))
    last = to_message(Event("order.created", id="last", source="s"))
    async with consuming(broker.uri, names.group, charge, concurrency=1):
        await send(broker.uri, message, message, replace(message), last, type_="order.created")
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


async def test_what_the_lifespan_yields_is_the_state_and_it_is_closed_at_the_end(
    broker: Broker, names: Names
) -> None:
    steps: list[str] = []
    states: list[object] = []

    @asynccontextmanager
    async def database() -> AsyncIterator[str]:
        steps.append("open")
        yield "pool"
        steps.append("closed")

    @handler("order.created")
    async def charge(ctx: Context) -> None:
        states.append(ctx.state)
        steps.append("handled")

    async with consuming(broker.uri, names.group, charge, lifespan=lifespan(database)):
        await emit(broker.uri, "order.created", {})
        await until(lambda: states)

    assert (states, steps) == (["pool"], ["open", "handled", "closed"])
