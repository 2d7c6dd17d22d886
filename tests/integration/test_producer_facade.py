"""`Producer` in a program of the user's, on a real broker: what `publish` promises and raises."""

import asyncio
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel

from common.envelope import to_event
from common.errors import (
    AccessRefused,
    BrokerUnavailable,
    ConfigError,
    ConfirmUnknown,
    InvalidEvent,
    OutboxFull,
    Rejected,
    TopologyMismatch,
    Unroutable,
)
from common.event import Event
from common.message import Delivery
from common.topology import (
    EVENTS,
    UNROUTED,
    Arguments,
    Binding,
    Exchange,
    Queue,
    Topology,
    events_topology,
)
from producer.facade import Producer
from support.broker import Broker, OwnBroker
from support.services import broker_connection, drained
from support.waiting import until

NOBODY = "amqp://guest:guest@127.0.0.1:1/"
"""Nothing listens there."""


async def bind(uri: str, queue: str, key: str, *arguments: tuple[str, str | int]) -> None:
    """Bind a queue for `key`, as a consumer group's queue is."""
    kind: Arguments = (("x-queue-type", "quorum"), *arguments)
    wanted = Topology(queues=(Queue(queue, kind),), bindings=(Binding(EVENTS, queue, key),))
    async with broker_connection(uri) as connection:
        await connection.ensure(events_topology() + wanted, "declare")


async def read(uri: str, queue: str, count: int) -> list[Event]:
    found = []
    for one in await drained(uri, queue, count):
        event = to_event(
            one.message, routing_key=one.routing_key, exchange=one.exchange, fallback_id=""
        )
        assert isinstance(event, Event)
        found.append(event)
    return found


async def ids_in(uri: str, queue: str, count: int) -> set[str]:
    """Take messages until `count` different ids were among them; copies are allowed."""
    ids: set[str] = set()

    def take(delivery: Delivery) -> None:
        ids.add(str(delivery.message.message_id))
        delivery.ack()

    async with broker_connection(uri) as connection:
        subscription = await connection.subscribe(queue, prefetch=100, on_delivery=take)
        await until(lambda: len(ids) >= count, within=15, what=f"{count} ids from {queue}")
        await subscription.close()
    return ids


# --- what it promises ---------------------------------------------------------------------------


async def test_publish_returns_the_event_that_the_broker_has_stored(broker: Broker) -> None:
    class Order(BaseModel):
        number: int

    await bind(broker.uri, "orders", "order.*")

    async with Producer(broker.uri, source="shop") as producer:
        event = await producer.publish(
            "order.created",
            Order(number=7),
            key="c-7731",
            subject="7",
            extensions={"traceparent": "00-1-2-01"},
        )

    (stored,) = await read(broker.uri, "orders", 1)
    assert (stored.id, stored.source, stored.time) == (event.id, "shop", event.time)
    assert (stored.type, stored.data, stored.subject, stored.key) == (
        "order.created",
        {"number": 7},
        "7",
        "c-7731",
    )


async def test_ids_and_sources_of_the_callers_own_are_kept(broker: Broker) -> None:
    await bind(broker.uri, "orders", "order.*")

    async with Producer(broker.uri) as producer:
        await producer.publish("order.created", id="o-7", source="/till/3")
        await producer.publish_event(Event("order.paid", b"\x00", id="p-7"))

    created, paid = await read(broker.uri, "orders", 2)
    assert (created.id, created.source) == ("o-7", "/till/3")
    assert (paid.id, paid.source, paid.data) == ("p-7", "tidings/producer", b"\x00")


async def test_a_thousand_concurrent_publishes_are_confirmed_in_the_order_of_their_calls(
    broker: Broker,
) -> None:
    """Four windows full: the first sends keep the order in which the events were accepted."""
    await bind(broker.uri, "numbers", "number")

    async with Producer(broker.uri) as producer:
        await asyncio.gather(*(producer.publish("number", number) for number in range(1000)))

    stored = await read(broker.uri, "numbers", 1000)
    assert [event.data for event in stored] == list(range(1000))


async def test_an_event_that_nobody_is_bound_for_is_kept(broker: Broker) -> None:
    async with Producer(broker.uri) as producer:
        event = await producer.publish("nobody.cares")

    (kept,) = await read(broker.uri, UNROUTED, 1)
    assert kept.id == event.id


async def test_leaving_the_block_first_sends_what_other_tasks_have_handed_over(
    broker: Broker,
) -> None:
    await bind(broker.uri, "orders", "order.*")

    async with Producer(broker.uri) as producer:
        publishes = [
            asyncio.create_task(producer.publish("order.created", number)) for number in range(100)
        ]
        await asyncio.sleep(0)  # handed over, and not one of them sent

    assert len(await asyncio.gather(*publishes)) == 100
    assert await broker.messages("orders") == 100


async def test_nothing_is_left_on_the_broker_after_the_block(broker: Broker) -> None:
    async with Producer(broker.uri) as producer:
        await producer.publish("a")

    async def gone() -> bool:
        return not await broker.connections()

    await until(gone, what="the connection is closed")


# --- what it raises -----------------------------------------------------------------------------


async def test_a_wrong_event_is_refused_at_once_and_never_accepted() -> None:
    async with Producer(NOBODY) as producer:
        with pytest.raises(InvalidEvent, match="NaN"):
            await producer.publish("a", {"x": float("nan")})
        with pytest.raises(InvalidEvent, match="event type must be a non-empty string"):
            await producer.publish("")
        with pytest.raises(InvalidEvent, match="over the limit of 1048576"):
            await producer.publish("a", "x" * 1024 * 1024)


async def test_a_full_queue_raises_rejected_after_the_timeout(broker: Broker) -> None:
    await bind(broker.uri, "full", "order.*", ("x-max-length", 1), ("x-overflow", "reject-publish"))

    async with Producer(broker.uri) as producer:

        async def publish_until_refused() -> None:
            # A quorum queue takes a few more than its limit before it refuses.
            for number in range(20):
                await producer.publish("order.created", id=f"o-{number}", timeout=2)

        with pytest.raises(Rejected, match=r"order.created.* refused it \(full\?\).*id='o-\d+'"):
            await publish_until_refused()
        await drained(broker.uri, "full", await broker.messages("full"))

        await producer.publish("order.created", id="later")

    assert await broker.messages("full") == 1


async def test_a_nacked_event_is_stored_when_the_queue_has_room_again(broker: Broker) -> None:
    """Sent again by itself, under the same id, while the caller waits."""
    await bind(broker.uri, "full", "order.*", ("x-max-length", 1), ("x-overflow", "reject-publish"))

    async with Producer(broker.uri) as producer:
        publishes = [
            asyncio.create_task(producer.publish("order.created", id=f"o-{number}"))
            for number in range(20)
        ]
        _, pending = await asyncio.wait(publishes, timeout=1)
        assert pending
        stored = await read(broker.uri, "full", 20)
        await asyncio.gather(*publishes)

    assert {event.id for event in stored} == {f"o-{number}" for number in range(20)}


async def test_without_the_unrouted_queue_an_event_for_nobody_is_unroutable(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TIDINGS_TOPOLOGY=check nothing is put back."""
    async with broker_connection(broker.uri) as connection:
        await connection.ensure(events_topology(), "declare")
    monkeypatch.setenv("TIDINGS_TOPOLOGY", "check")

    async with Producer(broker.uri) as producer:
        await producer.publish("nobody.cares")
        await broker.delete_queue(UNROUTED)
        with pytest.raises(Unroutable, match=r"'events.unrouted' is gone .* Start a consumer"):
            await producer.publish("nobody.cares", timeout=1)


async def test_a_deleted_unrouted_queue_is_put_back_and_the_event_is_kept(broker: Broker) -> None:
    """With TIDINGS_TOPOLOGY=declare, the default."""
    async with Producer(broker.uri) as producer:
        await producer.publish("nobody.cares")
        await broker.delete_queue(UNROUTED)
        event = await producer.publish("nobody.cares")

    (kept,) = await read(broker.uri, UNROUTED, 1)
    assert kept.id == event.id


async def test_a_deleted_exchange_is_put_back_and_the_event_is_kept(broker: Broker) -> None:
    async with Producer(broker.uri) as producer:
        await producer.publish("nobody.cares")
        await broker.delete_exchange(EVENTS)
        await producer.publish("nobody.cares")

    assert await broker.messages(UNROUTED) == 2


async def test_without_a_broker_a_publish_is_given_up_after_its_timeout() -> None:
    async with Producer(NOBODY) as producer:
        with pytest.raises(
            ConfirmUnknown, match=r"never sent \(publish: .*not reachable.*id='o-7'"
        ):
            await producer.publish("a", id="o-7", timeout=0.5)


async def test_a_full_outbox_raises_outbox_full_after_the_timeout() -> None:
    async with Producer(NOBODY, outbox_size=2) as producer:
        waiting = [asyncio.create_task(producer.publish("a")) for _ in range(2)]
        await asyncio.sleep(0)

        with pytest.raises(OutboxFull, match="2 events wait for the broker"):
            await producer.publish("a", timeout=0.2)

        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_a_cancelled_publish_is_withdrawn() -> None:
    async with Producer(NOBODY, outbox_size=1) as producer:
        publish = asyncio.create_task(producer.publish("a"))
        await asyncio.sleep(0)
        publish.cancel()
        await asyncio.wait([publish])

        # The one place is free again; there is still no broker.
        with pytest.raises(ConfirmUnknown):
            await producer.publish("a", timeout=0.2)


async def test_a_wrong_password_is_told_to_the_pending_and_to_the_next_publish(
    broker: Broker,
) -> None:
    parts = urlsplit(broker.uri)
    wrong = parts._replace(netloc=f"nobody:secret@{parts.hostname}:{parts.port}").geturl()
    async with Producer(wrong) as producer:
        with pytest.raises(AccessRefused, match="refused the user or the password") as caught:
            await producer.publish("a")
        with pytest.raises(AccessRefused):
            await producer.publish("a")

    assert "secret" not in str(caught.value)


async def test_a_user_who_may_not_publish_is_told_so(broker: Broker) -> None:
    async with broker_connection(broker.uri) as connection:
        await connection.ensure(events_topology(), "declare")
    reader = await broker.create_user(write="^$")

    async with Producer(reader) as producer:
        with pytest.raises(AccessRefused, match="may not"):
            await producer.publish("a")


async def test_a_topology_with_other_arguments_is_told_to_the_publish(broker: Broker) -> None:
    async with broker_connection(broker.uri) as connection:
        await connection.ensure(Topology(exchanges=(Exchange(EVENTS, "fanout"),)), "declare")

    async with Producer(broker.uri) as producer:
        with pytest.raises(TopologyMismatch, match="exchange 'events' exists with other arguments"):
            await producer.publish("a")


async def test_a_wrong_setting_is_told_when_the_block_is_entered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AMQP_URI", raising=False)
    with pytest.raises(ConfigError, match="AMQP_URI is not set"):
        async with Producer():
            pass
    with pytest.raises(ConfigError, match="'memory' is the only outbox so far"):
        async with Producer(NOBODY, outbox="sqlite:///x"):
            pass


async def test_a_producer_that_is_closed_says_so() -> None:
    async with Producer(NOBODY) as producer:
        pass

    with pytest.raises(BrokerUnavailable, match="inside its `async with` block"):
        await producer.publish("a")


async def test_the_error_of_the_block_is_not_hidden_by_the_producers_own(broker: Broker) -> None:
    reader = await broker.create_user(configure="^$", write="^$")

    async def program() -> None:
        async with Producer(reader) as producer:
            with pytest.raises(AccessRefused):
                await producer.publish("a")
            raise LookupError

    with pytest.raises(LookupError):
        await program()


# --- outages ------------------------------------------------------------------------------------


@pytest.mark.serial
@pytest.mark.harms
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
