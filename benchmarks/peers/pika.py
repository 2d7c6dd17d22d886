"""pika.

Settings: quorum queue, prefetch 100, an `ack` after each event; persistent messages, publisher
confirms. `SelectConnection`, its fastest, for consuming and for publishing with a window;
`BlockingConnection` for publishing one by one, where it is how pika is used. orjson, as it
prescribes no JSON. It has no retry of its own.
"""

import itertools
import os
from collections.abc import Callable
from typing import Any

import orjson
import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel
from pika.spec import PERSISTENT_DELIVERY_MODE, Basic, BasicProperties

from benchmarks.peers import blocking, contestant
from benchmarks.peers.measuring import MARKER, NOT_SENT, PREFETCH, event, identity, meter

QUEUE = "bench-pika"
QUORUM = {"x-queue-type": "quorum"}


def _parameters() -> pika.URLParameters:
    return pika.URLParameters(os.environ["AMQP_URI"])


def nothing(channel: Channel, got: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
    orjson.loads(body)
    meter.handled()
    channel.basic_ack(got.delivery_tag)


def latency(channel: Channel, got: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
    meter.arrived(orjson.loads(body)["data"]["sent"])
    channel.basic_ack(got.delivery_tag)


HANDLERS = {"nothing": nothing, "latency": latency}


def _run(then: Callable[[Channel], None]) -> None:
    """Connect, open a channel, declare the queue, then go on until the loop is stopped."""

    def declare(channel: Channel) -> None:
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.queue_declare(
            QUEUE, durable=True, arguments=QUORUM, callback=lambda _: then(channel)
        )

    pika.SelectConnection(
        _parameters(),
        on_open_callback=lambda connection: connection.channel(on_open_callback=declare),
    ).ioloop.start()


def consume(kind: str) -> None:
    _run(lambda channel: channel.basic_consume(QUEUE, HANDLERS[kind]))


def _publish(channel: Channel | BlockingChannel, name: str, sent: int) -> None:
    properties = BasicProperties(
        content_type="application/cloudevents+json",
        delivery_mode=PERSISTENT_DELIVERY_MODE,
        message_id=name,
    )
    channel.basic_publish("", QUEUE, orjson.dumps(event(name, sent)), properties)


class _Window:
    """Keeps `window` publishes in flight until all are confirmed."""

    def __init__(self, channel: Channel, events: int, window: int) -> None:
        self._channel, self._events = channel, events
        self._sent = 0
        self._unconfirmed: dict[int, None] = {}  # in the order of their tags
        channel.confirm_delivery(self._on_confirm)
        meter.begin()
        for _ in range(min(window, events)):
            self._next()

    def _next(self) -> None:
        self._sent += 1
        self._unconfirmed[self._sent] = None
        _publish(self._channel, identity(self._sent), NOT_SENT)

    def _on_confirm(self, frame: Any) -> None:
        answer = frame.method
        assert isinstance(answer, Basic.Ack)
        up_to = answer.delivery_tag
        done = [up_to]
        if answer.multiple:
            done = list(itertools.takewhile(lambda tag: tag <= up_to, self._unconfirmed))
        for tag in done:
            del self._unconfirmed[tag]
        for _ in range(min(len(done), self._events - self._sent)):
            self._next()
        if not self._unconfirmed:
            meter.end(self._events)
            self._channel.connection.ioloop.stop()


def publish(events: int, window: int) -> None:
    if window > 1:
        _run(lambda channel: _Window(channel, events, window))
        return
    blocking.one_by_one(_numbered(_blocking()), events)


def _blocking() -> BlockingChannel:
    channel = pika.BlockingConnection(_parameters()).channel()
    channel.queue_declare(QUEUE, durable=True, arguments=QUORUM)
    channel.confirm_delivery()
    return channel


def _numbered(channel: BlockingChannel) -> blocking.Publish:
    return lambda n, sent: _publish(channel, identity(n), sent)


def seed() -> None:
    _publish(_blocking(), MARKER, NOT_SENT)


def send(events: int, rate: float) -> None:
    blocking.paced(lambda: _numbered(_blocking()), events, rate)


if __name__ == "__main__":
    contestant.run(seed=seed, consume=consume, publish=publish, send=send)
