"""Run the producer in the test's own process, and read what it has published."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from common.envelope import to_event
from common.event import Event
from common.message import Delivery
from common.topology import EVENTS, Arguments, Binding, Queue, Topology, events_topology
from producer.main import Main
from producer.schedule import Tick
from producer.settings import ProducerSettings
from producer.source import Source, build_sources, declarations_of, source
from producer.writer import Clock
from support.processes import sample_in
from support.services import broker_connection, drained
from support.waiting import until

NOBODY = "amqp://guest:guest@127.0.0.1:1/"
"""Nothing listens there."""


@source(every="20ms")
async def fast(tick: Tick) -> Event:
    """Tick fast enough to be a load."""
    return Event("fast", tick.number)


FAST = build_sources(declarations_of(fast))
CONFIRMED = 'tidings_published_total{outcome="confirmed",type="fast"}'


@asynccontextmanager
async def producing(
    uri: str, *sources: Source, ready: bool = True, clock: Clock | None = None, **given: Any
) -> AsyncIterator[Main]:
    """Run a producer; at the end it is stopped as by SIGTERM, and its errors are raised."""
    settings = ProducerSettings(AMQP_URI=uri, probes_port=0, **given)
    main = Main(settings, sources=sources or FAST)
    if clock is not None:
        main._driver._writer = replace(main._driver._writer, clock=clock)
    stop = asyncio.Event()
    running = asyncio.create_task(main.run(stop))
    try:
        if ready:
            await until(lambda: main.health.ready or running.done(), what="the producer is ready")
        yield main
    finally:
        stop.set()
        await running


def value(main: Main, sample: str) -> float:
    """Return a sample as a scrape shows it; 0 when it is not there."""
    text, _ = main.metrics.render()
    return sample_in(text.decode(), sample)


async def bind(uri: str, queue: str, key: str, *arguments: tuple[str, str | int]) -> None:
    """Bind a queue for `key`, as a consumer group's queue is."""
    kind: Arguments = (("x-queue-type", "quorum"), *arguments)
    wanted = Topology(queues=(Queue(queue, kind),), bindings=(Binding(EVENTS, queue, key),))
    async with broker_connection(uri) as connection:
        await connection.ensure(events_topology() + wanted, "declare")


async def read(uri: str, queue: str, count: int, *, within: float = 15.0) -> list[Event]:
    """Take `count` events out of a queue, in its order."""
    found = []
    for one in await drained(uri, queue, count, within=within):
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
        await until(lambda: len(ids) >= count, within=30, what=f"{count} ids from {queue}")
        await subscription.close()
    return ids
