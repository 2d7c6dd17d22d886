"""Start the real services in the test's own process, as `make run` starts them in theirs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from common.broker import Connection, connect
from common.deadletter import DeadLetter
from common.envelope import to_message
from common.event import Event
from common.message import Answer, Delivery, Message, Publishing
from common.topology import EVENTS, dead_name
from consumer.main import Main as Consumer
from consumer.registry import Lifespan, Registry, build_registry, declarations_of
from consumer.settings import ConsumerSettings
from support.waiting import until


def registry_of(*functions: Callable[..., Any], lifespan: Lifespan | None = None) -> Registry:
    """Return the registry of functions decorated with `@handler` in a test."""
    declared = [one for function in functions for one in declarations_of(function)]
    return build_registry(declared, lifespan=lifespan)


@asynccontextmanager
async def consuming(
    uri: str, group: str, *functions: Callable[..., Any], ready: bool = True, **given: Any
) -> AsyncIterator[Consumer]:
    """Run a consumer; at the end it is stopped as by SIGTERM. Its errors end the block."""
    lifespan = given.pop("lifespan", None)
    settings = ConsumerSettings(AMQP_URI=uri, group=group, probes_port=0, **given)
    main = Consumer(settings, registry_of(*functions, lifespan=lifespan))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(main.run(stop))
        if ready:
            await until(lambda: main.health.ready or running.done(), what="the consumer is ready")
        try:
            yield main
        finally:
            stop.set()


@asynccontextmanager
async def broker_connection(uri: str) -> AsyncIterator[Connection]:
    """A connection through the product's own door, for publishing and looking."""
    async with connect(uri, name="a test") as connection:
        yield connection


async def send(uri: str, *messages: Message, type_: str, exchange: str = EVENTS) -> list[Answer]:
    """Publish messages, confirmed."""
    async with broker_connection(uri) as connection:
        return [
            await connection.publish(Publishing(exchange, type_, message)) for message in messages
        ]


async def emit(uri: str, type_: str, *data: object, prefix: str = "e") -> list[Event]:
    """Publish an event for each `data`, with the ids e0, e1, …"""
    events = [
        Event(type_, one, id=f"{prefix}{number}", source="test", time=datetime.now(UTC))
        for number, one in enumerate(data)
    ]
    await send(uri, *(to_message(event) for event in events), type_=type_)
    return events


async def drained(uri: str, queue: str, count: int, *, within: float = 15.0) -> list[Delivery]:
    """Take `count` messages out of a queue, waiting for them."""
    taken: list[Delivery] = []

    def take(delivery: Delivery) -> None:
        taken.append(delivery)
        delivery.ack()

    async with broker_connection(uri) as connection:
        subscription = await connection.subscribe(queue, prefetch=100, on_delivery=take)
        await until(lambda: len(taken) >= count, within=within, what=f"{count} from {queue}")
        await subscription.cancel()
        await subscription.close()
    return taken


async def dead_letters(
    uri: str, group: str, count: int, *, within: float = 15.0
) -> list[DeadLetter]:
    """Take `count` dead letters of a group, waiting for them."""
    return [
        DeadLetter.of(one) for one in await drained(uri, dead_name(group), count, within=within)
    ]
