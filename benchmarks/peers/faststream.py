"""FastStream.

Settings: `RabbitBroker` with a quorum queue and `Channel(prefetch_count=100)`, its default ack
policy (after the handler), a handler that takes a `dict`; `persist=True` (its default is
transient), publisher confirms (its default); orjson, which it uses where it is installed, and
uvloop, as its command does. Its two log lines for each event are lowered to debug, where ours are.
It has no retry.
"""

import asyncio
import logging
import os
from typing import Any

from faststream import FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from benchmarks.peers import contestant, looping
from benchmarks.peers.measuring import MARKER, NOT_SENT, PREFETCH, event, identity, meter

QUEUE = RabbitQueue("bench-faststream", queue_type=QueueType.QUORUM, durable=True)


def _broker() -> RabbitBroker:
    return RabbitBroker(
        os.environ["AMQP_URI"],
        default_channel=Channel(prefetch_count=PREFETCH),
        log_level=logging.DEBUG,
    )


async def _publish(broker: RabbitBroker, name: str, sent: int) -> None:
    await broker.publish(event(name, sent), queue=QUEUE, persist=True, message_id=name)


async def nothing(_: dict[str, Any]) -> None:
    meter.handled()


async def awaits(_: dict[str, Any]) -> None:
    await asyncio.sleep(0)
    meter.handled()


async def latency(got: dict[str, Any]) -> None:
    meter.arrived(got["data"]["sent"])


HANDLERS = {"nothing": nothing, "awaits": awaits, "latency": latency}


async def seed() -> None:
    async with _broker() as broker:
        await broker.declare_queue(QUEUE)
        await _publish(broker, MARKER, NOT_SENT)


async def consume(kind: str) -> None:
    broker = _broker()
    broker.subscriber(QUEUE)(HANDLERS[kind])
    await FastStream(broker).run()


async def publish(events: int, window: int) -> None:
    async with _broker() as broker:
        await looping.windowed(lambda n, sent: _publish(broker, identity(n), sent), events, window)


async def send(events: int, rate: float) -> None:
    async with _broker() as broker:
        await looping.paced(lambda n, sent: _publish(broker, identity(n), sent), events, rate)


if __name__ == "__main__":
    contestant.run(
        seed=lambda: looping.on_loop(seed()),
        consume=lambda kind: looping.on_loop(consume(kind)),
        publish=lambda events, window: looping.on_loop(publish(events, window)),
        send=lambda events, rate: looping.on_loop(send(events, rate)),
    )
