"""`Producer` on a real broker: what `publish` raises, and when."""

import asyncio
from urllib.parse import urlsplit

import pytest

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
from common.message import Message, Nacked, Publishing
from common.topology import EVENTS, UNROUTED, Exchange, Topology, events_topology
from producer.facade import Producer
from support.broker import Broker
from support.producing import NOBODY, bind, read
from support.services import broker_connection, drained


async def test_a_wrong_event_is_refused_at_once_and_never_accepted() -> None:
    async with Producer(NOBODY) as producer:
        with pytest.raises(InvalidEvent, match="NaN"):
            await producer.publish("a", {"x": float("nan")})
        with pytest.raises(InvalidEvent, match="event type must be a non-empty string"):
            await producer.publish("")
        with pytest.raises(InvalidEvent, match="over the limit of 1048576"):
            await producer.publish("a", "x" * 1024 * 1024)


@pytest.mark.fault("P5")
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


@pytest.mark.fault("P5")
async def test_a_nacked_event_is_stored_when_the_queue_has_room_again(broker: Broker) -> None:
    """Sent again by itself, under the same id, while the caller waits."""
    await bind(broker.uri, "full", "order.*", ("x-max-length", 1), ("x-overflow", "reject-publish"))
    fillers = 0

    async with broker_connection(broker.uri) as connection:
        # One after the other: of many at once, 3.10 takes all before it notices that it is full.
        filler = Publishing(EVENTS, "order.filler", Message(b"{}"))
        while await connection.publish(filler) != Nacked():
            fillers += 1
    async with Producer(broker.uri) as producer:
        publishes = [
            asyncio.create_task(producer.publish("order.created", id=f"o-{number}"))
            for number in range(20)
        ]
        _, pending = await asyncio.wait(publishes, timeout=1)
        assert pending
        taken = await drained(broker.uri, "full", fillers + 20)
        await asyncio.gather(*publishes)

    ids = {one.message.message_id for one in taken if one.routing_key == "order.created"}
    assert ids == {f"o-{number}" for number in range(20)}


@pytest.mark.fault("P6")
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


@pytest.mark.fault("P6")
async def test_a_deleted_unrouted_queue_is_put_back_and_the_event_is_kept(broker: Broker) -> None:
    """With TIDINGS_TOPOLOGY=declare, the default."""
    async with Producer(broker.uri) as producer:
        await producer.publish("nobody.cares")
        await broker.delete_queue(UNROUTED)
        event = await producer.publish("nobody.cares")

    (kept,) = await read(broker.uri, UNROUTED, 1)
    assert kept.id == event.id


@pytest.mark.fault("P8")
async def test_a_deleted_exchange_is_put_back_and_the_event_is_kept(broker: Broker) -> None:
    async with Producer(broker.uri) as producer:
        await producer.publish("nobody.cares")
        await broker.delete_exchange(EVENTS)
        await producer.publish("nobody.cares")

    assert await broker.messages(UNROUTED) == 2


@pytest.mark.fault("P18")
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


@pytest.mark.fault("P10")
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


@pytest.mark.fault("P10")
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
    with pytest.raises(ConfigError, match="make the folder"):
        async with Producer(NOBODY, outbox="sqlite:////nowhere/x.db"):
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
