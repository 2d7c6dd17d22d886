"""Handlers that fail: retried, timed out, given up, on a real broker."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from common.event import Event
from common.topology import dead_name
from consumer.exits import Reject, Retry, Snooze
from consumer.policy import RetryPolicy
from support.broker import Broker
from support.names import Names
from support.services import consuming, dead_letters, emit
from support.waiting import until
from tidings import Context, handler

QUICK = RetryPolicy(attempts=3, first_delay=0.05, factor=1.0, longest_delay=0.05)


class Order(BaseModel):
    order: int


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
