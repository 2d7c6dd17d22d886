"""The broker ends the consumer and leaves the connection: noticed, said, taken up again."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import structlog

from common.broker import Connection, Subscription
from common.broker.fastlane.methods import ack_frame
from common.errors import TopologyMismatch
from common.topology import dead_name
from support.broker import Broker, OwnBroker
from support.ctl import rabbitmqctl
from support.names import Names
from support.services import consuming, emit
from support.waiting import until
from tidings import Event, handler

NOTICED_WITHIN = 5.0
LIMIT_MS = 2000


class Shop:
    """Handlers that show what runs; those of `slow` events run until `release` is set."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.finished: list[str] = []
        self.release = asyncio.Event()

        @handler("order.created")
        async def charge(event: Event) -> None:
            self.runs[event.id] += 1
            if event.data == "slow":
                await self.release.wait()
            self.finished.append(event.id)

        self.charge = charge


def said(lines: list[Any], event: str) -> list[Any]:
    return [one for one in lines if one["event"] == event]


async def _is_empty(broker: Broker, queue: str) -> bool:
    return await broker.messages(queue) == 0


@pytest.mark.fault("C28", "C25")
async def test_a_channel_that_the_broker_closes_is_replaced_and_runs_nothing_twice(
    broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, consumed = Shop(), list[tuple[Connection, Subscription]]()
    subscribe = Connection.subscribe

    async def noted(self: Connection, queue: str, **given: Any) -> Subscription:
        subscription = await subscribe(self, queue, **given)
        if queue == names.group:
            consumed.append((self, subscription))
        return subscription

    monkeypatch.setattr(Connection, "subscribe", noted)
    with structlog.testing.capture_logs() as lines:
        async with consuming(broker.uri, names.group, shop.charge) as main:
            await emit(broker.uri, "order.created", "slow")
            await until(lambda: shop.runs)
            connection, subscription = consumed[-1]
            connection._lane.write(ack_frame(subscription._number, 999, multiple=False))
            await until(lambda: not main.health.ready, within=NOTICED_WITHIN)
            await until(lambda: main.health.ready)
            await emit(broker.uri, "order.created", "quick", prefix="after")
            await until(lambda: shop.finished == ["after0"])
            shop.release.set()
            await until(lambda: _is_empty(broker, names.group))
            await until(lambda: "e0" in shop.finished)

    assert shop.runs == {"e0": 1, "after0": 1}
    (ended,) = said(lines, "subscription_ended")
    assert "406" in ended["reason"]
    assert "unknown delivery tag 999" in ended["reason"]


@pytest.mark.fault("C26", "C28")
async def test_a_deleted_queue_is_said_to_have_been_deleted_and_made_anew(
    broker: Broker, names: Names
) -> None:
    shop = Shop()
    with structlog.testing.capture_logs() as lines:
        async with consuming(broker.uri, names.group, shop.charge) as main:
            await emit(broker.uri, "order.created", "slow")
            await until(lambda: shop.runs)
            await broker.delete_queue(names.group)
            await until(lambda: not main.health.ready, within=NOTICED_WITHIN)
            await until(lambda: main.health.ready)
            shop.release.set()
            await emit(broker.uri, "order.created", "quick", prefix="after")
            await until(lambda: set(shop.finished) == {"e0", "after0"})

    (ended,) = said(lines, "subscription_ended")
    assert "the broker cancelled consumer" in ended["reason"]
    (deleted,) = said(lines, "queue_was_deleted")
    assert deleted["queue"] == names.group
    assert "what was in it is lost" in deleted["remedy"]


@pytest.mark.fault("C26")
async def test_a_deleted_dead_letter_queue_is_said_at_the_next_connection(
    broker: Broker, names: Names
) -> None:
    shop = Shop()
    with structlog.testing.capture_logs() as lines:
        async with consuming(broker.uri, names.group, shop.charge) as main:
            await broker.delete_queue(dead_name(names.group))
            await broker.delete_queue(names.group)
            await until(lambda: not main.health.ready, within=NOTICED_WITHIN)
            await until(lambda: main.health.ready)

    assert {one["queue"] for one in said(lines, "queue_was_deleted")} == {
        names.group,
        dead_name(names.group),
    }


@pytest.mark.fault("C26")
async def test_who_may_not_make_a_deleted_queue_ends_with_one_line_about_it(
    broker: Broker, names: Names
) -> None:
    shop = Shop()
    async with consuming(broker.uri, names.group, shop.charge):
        pass

    async def consume() -> None:
        async with consuming(broker.uri, names.group, shop.charge, topology="check") as main:
            await broker.delete_queue(names.group)
            await until(lambda: not main.health.ready, within=NOTICED_WITHIN)
            await asyncio.Event().wait()  # the error ends it

    with pytest.raises(ExceptionGroup) as caught:
        await consume()

    assert caught.group_contains(TopologyMismatch, match=f"missing.*queue '{names.group}'")


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("C39", "C28")
async def test_an_event_held_beyond_the_consumer_timeout_is_taken_up_again_and_runs_once(
    own_broker: OwnBroker, names: Names
) -> None:
    """4.3 cancels the consumer, brokers before close its channel; both say so, and it goes on."""
    shop = Shop()
    if own_broker.version >= (4, 3):
        await own_broker.set_policy("short", f"^{names.group}$", consumer_timeout=LIMIT_MS)
    else:
        await rabbitmqctl(
            own_broker,
            "eval",
            f"application:set_env(rabbit, consumer_timeout, {LIMIT_MS}), "
            "application:set_env(rabbit, channel_tick_interval, 500).",
        )
    with structlog.testing.capture_logs() as lines:
        async with consuming(own_broker.uri, names.group, shop.charge) as main:
            await emit(own_broker.uri, "order.created", "slow")
            await until(lambda: shop.runs)
            await until(lambda: not main.health.ready, within=LIMIT_MS / 1000 + NOTICED_WITHIN)
            await until(lambda: main.health.ready)
            await emit(own_broker.uri, "order.created", "quick", prefix="after")
            await until(lambda: "after0" in shop.finished)
            shop.release.set()
            await until(lambda: "e0" in shop.finished)
            await until(lambda: _is_empty(own_broker, names.group))

    assert shop.runs == {"e0": 1, "after0": 1}
    reason = said(lines, "subscription_ended")[0]["reason"]
    assert "consumer timeout" in reason or "timed out" in reason
    assert await own_broker.messages(dead_name(names.group)) == 0
