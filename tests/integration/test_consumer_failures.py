"""Handlers that fail: retried, timed out, given up, on a real broker."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from common.event import Event
from common.topology import dead_name
from consumer.exits import Reject, Retry, Snooze
from consumer.retrying import RetryPolicy
from support.broker import Broker
from support.names import Names
from support.processes import service
from support.services import consuming, dead_letters, emit
from support.waiting import until
from tidings import Attempt, Context, Dead, Done, Failure, Reason, handler

QUICK = RetryPolicy(attempts=3, first_delay=0.05, factor=1.0, longest_delay=0.05)


FAILING = """
from tidings import handler

@handler("order.created")
async def charge() -> None:
    raise RuntimeError("as ever")
"""


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


@pytest.mark.fault("C21")
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


async def test_each_type_of_errors_has_its_own_delays_and_attempts(
    broker: Broker, names: Names
) -> None:
    patient = replace(QUICK, attempts=4)
    policy = replace(QUICK, for_errors={OSError: patient, ValueError: RetryPolicy(attempts=1)})

    @handler("order.created", retry=policy)
    async def charge(event: Event) -> None:
        raise {"net": ConnectionResetError, "data": ValueError, "else": RuntimeError}[event.data]

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", "net", "data", "else")
        letters = await dead_letters(broker.uri, names.group, 3)

    assert {letter.error: letter.attempts for letter in letters} == {
        "ConnectionResetError": 4,
        "ValueError": 1,
        "RuntimeError": 3,
    }


async def test_delays_from_a_list_are_waited_for_one_by_one(broker: Broker, names: Names) -> None:
    times: list[float] = []

    @handler("order.created", retry=RetryPolicy.delays(0.1, "1.2s", attempts=3, jitter="none"))
    async def charge() -> None:
        times.append(asyncio.get_running_loop().time())
        raise RuntimeError

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", {})
        await dead_letters(broker.uri, names.group, 1)

    assert 0.1 <= times[1] - times[0] < 1.2 <= times[2] - times[1]


async def test_a_users_function_decides_and_where_it_fails_the_policy_does(
    broker: Broker, names: Names
) -> None:
    def rules(_: Attempt, failure: Failure) -> Dead | Done:
        answers: dict[str, Dead | Done] = {
            "swallow": Done(),
            "give up": Dead(Reason.UNRECOVERABLE),
        }
        return answers[failure.message]

    runs: list[str] = []

    @handler("order.created", retry=replace(QUICK, decide=rules))
    async def charge(event: Event) -> None:
        runs.append(event.data)
        raise RuntimeError(event.data)

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", "swallow", "give up", "a case nobody thought of")
        letters = await dead_letters(broker.uri, names.group, 2)

    assert {letter.reason: letter.attempts for letter in letters} == {
        "unrecoverable": 1,
        "attempts_spent": 3,
    }
    assert runs.count("swallow") == 1
    assert await broker.messages(names.group) == 0


async def test_delays_and_attempts_of_the_environment_hold_for_all_handlers(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(FAILING)

    async with service(
        "consumer", "shop", folder=tmp_path, AMQP_URI=broker.uri, GROUP=names.group, ATTEMPTS=3,
        RETRY="delays(50ms, 100ms), jitter=none",
    ) as running:  # fmt: skip
        await running.says("subscribed")
        await emit(broker.uri, "order.created", {})
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert "3 attempts, 0.05s 0.1s, jitter none" in running.output
    first, second, third = letter.attempt_times_ms
    assert second - first >= 50
    assert third - second >= 100


async def test_delays_that_cannot_be_read_end_the_start_with_one_line(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(FAILING)

    async with service(
        "consumer", "shop", folder=tmp_path, AMQP_URI=broker.uri, GROUP=names.group, RETRY="often"
    ) as running:
        assert await running.exit_code() == 78

    assert len(running.output.splitlines()) == 1
    assert "TIDINGS_RETRY: 'often' is no retry policy; write exponential(1s, 4, 1h)" in (
        running.output
    )
