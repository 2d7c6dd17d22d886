"""Events that are published for later, with a priority, or with an end."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from common.errors import InvalidEvent
from common.topology import dead_name, delay_name
from producer.arguments import extensions_of
from producer.facade import Producer
from support.broker import Broker
from support.names import Names
from support.producing import bind, read
from support.services import consuming, dead_letters, drained
from support.waiting import until
from tidings import Event, handler


async def test_a_delayed_event_comes_not_before_its_time_and_by_its_own_type(
    broker: Broker,
) -> None:
    await bind(broker.uri, "orders", "order.*")
    async with Producer(broker.uri) as producer:
        began = time.time()
        await producer.publish("order.late", 1, delay="1500ms")
        await producer.publish("order.now", 2)

        now, late = await drained(broker.uri, "orders", 2)
        arrived = time.time()

    assert (now.routing_key, late.routing_key) == ("order.now", "order.late")
    assert arrived - began >= 1.5


async def test_a_delay_tier_that_somebody_deleted_is_made_again(broker: Broker) -> None:
    await bind(broker.uri, "orders", "order.late")
    async with Producer(broker.uri) as producer:
        await producer.publish("order.late", 1, delay=0.1)
        await broker.delete_exchange(delay_name(1))

        await producer.publish("order.late", 2, delay=0.1)

    assert {event.data for event in await read(broker.uri, "orders", 2)} == {1, 2}


async def test_where_nothing_may_be_made_a_delay_without_its_tier_is_refused_at_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Producer(broker.uri) as producer:
        await producer.publish("order.created", 1)

    monkeypatch.setenv("TIDINGS_TOPOLOGY", "check")
    async with Producer(broker.uri) as producer:
        with pytest.raises(InvalidEvent, match=r"events\.delay\.v1\.8s"):
            await producer.publish("order.late", 1, delay=7)
        await producer.publish("order.created", 2)  # the others go on


async def test_an_event_that_is_over_is_set_aside_as_expired_and_not_handled(
    broker: Broker, names: Names
) -> None:
    handled: list[object] = []

    @handler("offer.made")
    async def take(event: Event) -> None:
        handled.append(event.data)

    async with consuming(broker.uri, names.group, take), Producer(broker.uri) as producer:
        await producer.publish("offer.made", "late", delay=0.5, expires=0.1)
        await producer.publish("offer.made", "in time", expires=timedelta(hours=1))
        await until(lambda: handled == ["in time"])
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert letter.reason == "expired"
    assert handled == ["in time"]
    assert await broker.messages(dead_name(names.group)) == 0


async def test_priority_and_trace_travel_with_the_event(broker: Broker) -> None:
    await bind(broker.uri, "orders", "#")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with Producer(broker.uri) as producer:
        await producer.publish(
            "order.created", 1, priority=7, extensions={"traceparent": trace}, key="c-7731"
        )

    (delivery,) = await drained(broker.uri, "orders", 1)
    assert delivery.message.priority == 7
    assert delivery.message.headers["traceparent"] == trace


SELF: list[object] = []
SELF.append(SELF)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"data": {"n": float("nan")}}, "NaN"),
        ({"data": {1, 2}}, "not JSON serializable: set"),
        ({"data": SELF}, "cannot be written as JSON"),
        ({"data": 2**64}, "64-bit"),
        ({"data": {7: "seven"}}, "key must be str"),
        ({"data": object()}, "not JSON serializable: object"),
        ({"data": "x" * 1_100_000}, "over the limit of 1048576"),
        ({"extensions": {"Bad": 1}}, "extension name 'Bad'"),
        ({"extensions": {"good": 1.5}}, "extension good must be"),
        ({"extensions": {"good": 2**31}}, "does not fit in 32 bits"),
        ({"extensions": ["a"]}, "extensions must be a mapping"),
        ({"key": 7}, "key must be a non-empty string"),
        ({"id": 7}, "event id must be"),
        ({"subject": 7}, "event subject must be"),
        ({"priority": 32}, "priority must be 0 to 31"),
        ({"priority": "high"}, "priority must be 0 to 31"),
        ({"delay": "soon"}, "delay: 'soon' is not a duration"),
        ({"delay": -1}, "delay: '-1' is not a duration"),
        ({"delay": "49d"}, "delay must be at most 48 days"),
        ({"expires": datetime(2026, 1, 1)}, "expires has no time zone"),  # noqa: DTZ001 - as asked
        ({"expires": "never"}, "expires: 'never' is not a duration"),
        ({"expires": 10**15}, "expires is after the year 9999"),
        ({"timeout": 0}, "timeout must be"),
    ],
)
async def test_what_is_wrong_with_an_event_is_said_at_the_call_and_nothing_is_kept(
    arguments: dict[str, object], said: str
) -> None:
    """Given no broker at all: the answer does not depend on it."""
    async with Producer("amqp://guest:guest@127.0.0.1:1/") as producer:
        async with asyncio.timeout(5):
            with pytest.raises(InvalidEvent, match=said):
                await producer.publish("order.created", **arguments)  # type: ignore[arg-type] # wrong on purpose
        assert producer._relay is not None
        assert producer._relay.outbox.depth == 0


def test_an_end_may_be_a_moment() -> None:
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)

    found = extensions_of(None, key=None, expires=moment, now=moment)
    assert found == {"expirytime": "2026-05-01T12:00:00Z"}
