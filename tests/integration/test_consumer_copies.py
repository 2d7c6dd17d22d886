"""Where copies go is full or gone: the original stays the consumer's until its copy is safe."""

from collections import Counter

import pytest
import structlog

from common.message import Message, Nacked, Publishing
from common.topology import dead_name, tier_name
from support.broker import Broker
from support.names import Names
from support.services import broker_connection, consuming, dead_letters, emit
from support.waiting import until
from tidings import Context, Event, RetryPolicy, handler

QUICK = RetryPolicy(attempts=2, first_delay=0.05, factor=1)


async def refused(broker: Broker, exchange: str) -> bool:
    """Fill the queue behind an exchange, with what leads nowhere."""
    filler = Publishing(exchange, "nowhere", Message(b""))
    async with broker_connection(broker.uri) as connection:
        return await connection.publish(filler) == Nacked()


@pytest.mark.fault("C37")
async def test_while_a_delay_tier_is_full_the_originals_stay_and_are_retried_afterwards(
    broker: Broker, names: Names
) -> None:
    attempts: Counter[tuple[str, int]] = Counter()

    @handler("order.created", retry=QUICK)
    async def charge(event: Event, ctx: Context) -> None:
        attempts[event.id, ctx.attempt] += 1
        if ctx.attempt == 1:
            raise ValueError("once")

    tier = tier_name(names.group, 1)
    with structlog.testing.capture_logs() as lines:
        async with consuming(broker.uri, names.group, charge):
            await broker.set_policy("full", f"^{tier}$", max_length=1)
            await until(lambda: refused(broker, tier), what="the tier is full")
            await emit(broker.uri, "order.created", *range(20))
            await until(lambda: any("Nacked" in one.get("answer", "") for one in lines))
            await broker.set_policy("full", f"^{tier}$", max_length=1000)
            await until(lambda: len(attempts) == 40, within=20)

    assert set(attempts.values()) == {1}
    assert await broker.messages(names.group) == await broker.messages(dead_name(names.group)) == 0


@pytest.mark.fault("C37")
async def test_a_deleted_tier_is_made_anew_for_the_next_retry(broker: Broker, names: Names) -> None:
    """The queue alone: its exchange takes the copy, and says that it led nowhere."""
    attempts: list[int] = []

    @handler("order.created", retry=QUICK)
    async def charge(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError("once")

    async with consuming(broker.uri, names.group, charge):
        await broker.delete_queue(tier_name(names.group, 1))
        await emit(broker.uri, "order.created", 1)
        await until(lambda: attempts == [1, 2])


@pytest.mark.fault("C38")
async def test_a_deleted_queue_of_dead_letters_is_made_anew_for_the_next_one(
    broker: Broker, names: Names
) -> None:
    @handler("order.created", attempts=1)
    async def charge() -> None:
        raise ValueError("x")

    async with consuming(broker.uri, names.group, charge):
        await broker.delete_queue(dead_name(names.group))
        await emit(broker.uri, "order.created", 1)
        await until(lambda: _exists(broker, dead_name(names.group)))
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert (letter.id, letter.reason) == ("e0", "attempts_spent")


@pytest.mark.fault("C38", "C37")
@pytest.mark.parametrize("attempts", [1, 2], ids=["dead", "retry"])
async def test_who_may_not_make_what_is_missing_keeps_the_original_until_somebody_does(
    broker: Broker, names: Names, attempts: int
) -> None:
    """With TIDINGS_TOPOLOGY=check: a person, or another consumer, puts it back."""

    @handler("order.created", retry=RetryPolicy(attempts=attempts, first_delay=0.05, factor=1))
    async def charge() -> None:
        raise ValueError("x")

    group = names.group
    async with consuming(broker.uri, group, charge):
        pass  # it has declared everything
    with structlog.testing.capture_logs() as lines:
        async with consuming(broker.uri, group, charge, topology="check"):
            await broker.delete_queue(dead_name(group) if attempts == 1 else tier_name(group, 1))
            await emit(broker.uri, "order.created", 1)
            await until(lambda: sum(one["event"] == "settle_not_confirmed" for one in lines) >= 2)
            async with consuming(broker.uri, group, charge):
                pass
            (letter,) = await dead_letters(broker.uri, group, 1)

    assert (letter.id, letter.attempts) == ("e0", attempts)


async def _exists(broker: Broker, queue: str) -> bool:
    return queue in await broker.queues()
