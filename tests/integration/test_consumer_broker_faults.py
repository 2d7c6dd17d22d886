"""The broker under the consumer cut off, stopped, its queues deleted."""

import asyncio
from collections import Counter

import pytest

from common.envelope import to_message
from common.event import Event
from common.message import Confirmed, Message, Nacked, Publishing
from common.topology import dead_name, return_name, tier_name
from consumer.retrying import RetryPolicy
from support.broker import Broker, OwnBroker
from support.names import Names
from support.proxy import proxied
from support.services import broker_connection, consuming, dead_letters, emit
from support.waiting import until
from tidings import Context, handler


async def _is_empty(broker: Broker, queue: str) -> bool:
    return await broker.messages(queue) == 0


@pytest.mark.fault("C24", "C25")
async def test_a_lost_connection_does_not_end_a_handler_nor_run_it_twice(
    broker: Broker, names: Names
) -> None:
    """When the ack is lost, the redelivery waits for the run that goes on, and is acked."""
    started, release, finished = asyncio.Event(), asyncio.Event(), list[str]()

    @handler("order.created")
    async def charge(event: Event) -> None:
        started.set()
        await release.wait()
        finished.append(event.id)

    async with proxied(broker.uri) as proxy, consuming(proxy.uri, names.group, charge) as main:
        await emit(broker.uri, "order.created", 1)
        await started.wait()
        proxy.abort()
        await until(lambda: not main.health.ready)
        await until(lambda: main.health.ready)
        release.set()
        await until(lambda: _is_empty(broker, names.group))
        await emit(broker.uri, "order.created", 1, prefix="after")
        await until(lambda: len(finished) == 2)

    assert finished == ["e0", "after0"]
    assert "tidings_late_settles_total 1.0" in main.metrics.render()[0].decode()


@pytest.mark.fault("C26")
async def test_a_deleted_queue_is_taken_up_again(broker: Broker, names: Names) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    async with consuming(broker.uri, names.group, charge) as main:
        await broker.delete_queue(names.group)
        await until(lambda: not main.health.ready, within=5)
        await until(lambda: main.health.ready)
        await emit(broker.uri, "order.created", 1)
        await until(lambda: seen == ["e0"])


@pytest.mark.parametrize("what", ["dead", "tier", "return"])
@pytest.mark.fault("C37", "C38")
async def test_a_deleted_exchange_loses_no_retry_and_no_dead_letter(
    broker: Broker, names: Names, what: str
) -> None:
    """The copy is not confirmed, so the original stays ours until all is there again."""

    @handler("order.created", retry=RetryPolicy(attempts=2, first_delay=0.05, factor=1))
    async def charge(ctx: Context) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    group = names.group
    name = {"dead": dead_name(group), "tier": tier_name(group, 1), "return": return_name(group)}[
        what
    ]
    async with consuming(broker.uri, group, charge) as main:
        await broker.delete_exchange(name)
        await emit(broker.uri, "order.created", 1)
        if what == "return":
            # The broker holds the retry in its tier, at least once, until a consumer starts anew.
            await until(lambda: _stores_one(broker, tier_name(group, 1)), within=20)
            return
        (letter,) = await dead_letters(broker.uri, group, 1)

    assert (letter.id, letter.attempts) == ("e0", 2)
    assert main.health is not None


async def _stores_one(broker: Broker, queue: str) -> bool:
    return await broker.stored(queue) == 1


@pytest.mark.fault("C38")
async def test_a_full_dead_letter_queue_keeps_the_original(broker: Broker, names: Names) -> None:
    @handler("order.created", attempts=1)
    async def charge() -> None:
        raise ValueError("x")

    dead = dead_name(names.group)

    async def refused() -> bool:
        async with broker_connection(broker.uri) as connection:
            return await connection.publish(Publishing(dead, names.group, Message(b""))) == Nacked()

    async with consuming(broker.uri, names.group, charge):
        await broker.set_policy("full", f"^{dead}$", max_length=1, overflow="reject-publish")
        await until(refused, what="the dead letter queue is full")
        fillers = await broker.messages(dead)
        await emit(broker.uri, "order.created", 1)
        letters = await dead_letters(broker.uri, names.group, fillers + 1)

    assert [one.id for one in letters if one.reason == "attempts_spent"] == ["e0"]


@pytest.mark.serial
@pytest.mark.harms
async def test_a_broker_that_is_stopped_and_started_under_load_loses_nothing(
    own_broker: OwnBroker, names: Names
) -> None:
    seen: Counter[int] = Counter()

    @handler("order.created", retry=RetryPolicy(first_delay=0.05))
    async def charge(event: Event, ctx: Context) -> None:
        if event.data % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once")
        seen[event.data] += 1

    async def load(first: int, count: int) -> set[int]:
        async with broker_connection(own_broker.uri) as connection:
            confirmed = set()
            for number in range(first, first + count):
                event = Event("order.created", number, id=str(number), source="test")
                answer = await connection.publish(
                    Publishing("events", "order.created", to_message(event))
                )
                if isinstance(answer, Confirmed):
                    confirmed.add(number)
            return confirmed

    async with consuming(own_broker.uri, names.group, charge) as main:
        confirmed = await load(0, 300)
        running = asyncio.create_task(load(300, 300))
        await until(lambda: len(seen) > 320)
        await own_broker.stop()
        confirmed |= await running
        await until(lambda: not main.health.ready)
        await own_broker.start()
        await until(lambda: main.health.ready, within=30)
        confirmed |= await load(600, 100)
        await until(lambda: confirmed <= set(seen), within=60, what="every confirmed event handled")

    assert len(confirmed) >= 400


@pytest.mark.serial
@pytest.mark.harms
async def test_the_consumer_starts_before_the_broker_and_works_soon_after(
    own_broker: OwnBroker, names: Names
) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    await own_broker.stop()
    async with consuming(own_broker.uri, names.group, charge, ready=False) as main:
        await until(lambda: any("not reachable" in one for one in main.health.reasons))
        await own_broker.start()
        await until(lambda: main.health.ready, within=15)
        await emit(own_broker.uri, "order.created", 1)
        await until(lambda: seen)
