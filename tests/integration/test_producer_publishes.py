"""`Producer` in a program of the user's, on a real broker: what `publish` promises."""

import asyncio

import pytest
from pydantic import BaseModel

from common.event import Event
from common.topology import UNROUTED
from producer.facade import Producer
from support.broker import Broker
from support.producing import bind, read
from support.waiting import until


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


@pytest.mark.fault("P6")
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
