"""aio-pika.

Settings: `connect_robust`, `Queue.consume` with a callback (cheaper than its iterator), prefetch
100, an `ack` after each event; persistent messages, publisher confirms (its default); quorum queue;
orjson and uvloop, as it prescribes neither. It has no retry of its own.
"""

import asyncio
import os

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from benchmarks.peers import contestant, looping
from benchmarks.peers.measuring import MARKER, NOT_SENT, PREFETCH, event, identity, meter

QUEUE = "bench-aio-pika"


async def _open() -> tuple[AbstractChannel, AbstractQueue]:
    connection = await aio_pika.connect_robust(os.environ["AMQP_URI"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    arguments = {"x-queue-type": "quorum"}
    return channel, await channel.declare_queue(QUEUE, durable=True, arguments=arguments)


async def _publish(channel: AbstractChannel, name: str, sent: int) -> None:
    message = aio_pika.Message(
        orjson.dumps(event(name, sent)),
        content_type="application/cloudevents+json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=name,
    )
    await channel.default_exchange.publish(message, QUEUE)


async def nothing(message: AbstractIncomingMessage) -> None:
    orjson.loads(message.body)
    meter.handled()
    await message.ack()


async def awaits(message: AbstractIncomingMessage) -> None:
    orjson.loads(message.body)
    await asyncio.sleep(0)
    meter.handled()
    await message.ack()


async def latency(message: AbstractIncomingMessage) -> None:
    meter.arrived(orjson.loads(message.body)["data"]["sent"])
    await message.ack()


HANDLERS = {"nothing": nothing, "awaits": awaits, "latency": latency}


async def seed() -> None:
    channel, _ = await _open()
    await _publish(channel, MARKER, NOT_SENT)


async def consume(kind: str) -> None:
    _, queue = await _open()
    await queue.consume(HANDLERS[kind])
    await asyncio.Event().wait()


async def publish(events: int, window: int) -> None:
    channel, _ = await _open()
    await looping.windowed(lambda n, sent: _publish(channel, identity(n), sent), events, window)


async def send(events: int, rate: float) -> None:
    channel, _ = await _open()
    await looping.paced(lambda n, sent: _publish(channel, identity(n), sent), events, rate)


if __name__ == "__main__":
    contestant.run(
        seed=lambda: looping.on_loop(seed()),
        consume=lambda kind: looping.on_loop(consume(kind)),
        publish=lambda events, window: looping.on_loop(publish(events, window)),
        send=lambda events, rate: looping.on_loop(send(events, rate)),
    )
