"""Brokers that are stopped, killed and frozen under the producer: nothing accepted is lost."""

import asyncio

import pytest

from common.errors import (
    ConfirmUnknown,
)
from common.topology import UNROUTED
from producer.facade import Producer
from support.broker import OwnBroker
from support.producing import CONFIRMED, FAST, bind, ids_in, producing, read, value
from support.waiting import until


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("P18")
async def test_a_stopped_broker_raises_confirm_unknown_and_works_again_after_its_start(
    own_broker: OwnBroker,
) -> None:
    async with Producer(own_broker.uri) as producer:
        await producer.publish("before")
        await own_broker.stop()
        with pytest.raises(ConfirmUnknown, match="publish it again with id="):
            await producer.publish("during", timeout=1)
        await own_broker.start()
        await producer.publish("after")

    kept = [event.type for event in await read(own_broker.uri, UNROUTED, 2)]
    assert kept == ["before", "after"]


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("P2")
async def test_a_broker_stopped_and_started_under_load_loses_nothing(
    own_broker: OwnBroker,
) -> None:
    """50 callers publish without a pause while the broker goes and comes back."""
    confirmed: set[str] = set()
    stop = asyncio.Event()

    async with Producer(own_broker.uri) as producer:

        async def caller() -> None:
            while not stop.is_set():
                event = await producer.publish("load", timeout=120)
                confirmed.add(event.id)

        async with asyncio.TaskGroup() as callers:
            for _ in range(50):
                callers.create_task(caller())
            await until(lambda: len(confirmed) > 200, what="200 before the stop")
            await own_broker.stop()
            before = len(confirmed)
            await own_broker.start()
            await until(lambda: len(confirmed) > before + 200, within=30, what="200 more")
            stop.set()

    assert confirmed == await ids_in(own_broker.uri, UNROUTED, len(confirmed))


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("P4")
async def test_an_answer_that_never_comes_is_unknown_and_the_event_is_withdrawn(
    own_broker: OwnBroker,
) -> None:
    async with Producer(own_broker.uri) as producer:
        await producer.publish("before")
        await own_broker.pause()
        with pytest.raises(ConfirmUnknown, match="no answer yet, it may be stored"):
            await producer.publish("during", timeout=1)
        await own_broker.unpause()
        await producer.publish("after")


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("P1")
async def test_a_producer_that_starts_before_its_broker_publishes_everything_in_order_afterwards(
    own_broker: OwnBroker,
) -> None:
    await bind(own_broker.uri, "ticks", "fast")
    await own_broker.stop()

    async with producing(own_broker.uri, ready=False) as main:
        await until(lambda: value(main, "tidings_outbox_depth") >= 100, what="100 wait")
        await own_broker.start()
        stored = await read(own_broker.uri, "ticks", 100, within=30)

    numbers = [event.data for event in stored]
    assert numbers == sorted(set(numbers))
    # No tick between the first and the last is missing, but for those that were late and counted.
    missed = value(main, f'tidings_ticks_missed_total{{source="{FAST[0].name}"}}')
    assert numbers[99] - numbers[0] - 99 <= missed


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("P2")
async def test_a_broker_that_dies_under_load_loses_no_tick(own_broker: OwnBroker) -> None:
    """Killed, not stopped: confirms are lost with it. Duplicates have the same id."""
    await bind(own_broker.uri, "ticks", "fast")

    async with producing(own_broker.uri) as main:
        await until(lambda: value(main, "tidings_publish_confirm_seconds_count") >= 50)
        await own_broker.kill()
        await until(lambda: value(main, "tidings_outbox_depth") >= 50, what="50 wait")
        await own_broker.start()
        await until(lambda: main.health.ready, within=30, what="ready again")
        # A queue that has no leader yet answers nothing, which is noticed after 10 s.
        await until(lambda: value(main, "tidings_outbox_depth") <= 1, within=60, what="all sent")

    confirmed = int(value(main, CONFIRMED))
    assert len(await ids_in(own_broker.uri, "ticks", confirmed)) == confirmed
