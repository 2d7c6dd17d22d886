"""kombu, with its driver py-amqp.

Settings: quorum queue, `ConsumerMixin` with prefetch 100, an `ack` after each event; JSON by its
own serializer; `Producer` with `confirm_publish`, persistent (its default). It has no retry of its
own, and publishes one by one: `publish` blocks until the confirm.
"""

import os
from typing import Any

from kombu import Connection, Exchange, Message, Producer, Queue
from kombu.mixins import ConsumerMixin

from benchmarks.peers import blocking, contestant
from benchmarks.peers.measuring import MARKER, PREFETCH, event, identity, meter

NAME = "bench-kombu"
QUEUE = Queue(
    NAME,
    Exchange(NAME, type="direct"),
    routing_key=NAME,
    queue_arguments={"x-queue-type": "quorum"},
)


def _connection() -> Connection:
    return Connection(os.environ["AMQP_URI"], transport_options={"confirm_publish": True})


def nothing(_: dict[str, Any], message: Message) -> None:
    meter.handled()
    message.ack()


def latency(got: dict[str, Any], message: Message) -> None:
    meter.arrived(got["data"]["sent"])
    message.ack()


HANDLERS = {"nothing": nothing, "latency": latency}


class _Worker(ConsumerMixin):
    def __init__(self, connection: Connection, kind: str) -> None:
        self.connection = connection
        self._handler = HANDLERS[kind]

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:  # noqa: ARG002 - its method
        return [consumer([QUEUE], callbacks=[self._handler], prefetch_count=PREFETCH)]


def _publisher() -> Producer:
    producer = Producer(_connection().channel(), exchange=QUEUE.exchange, routing_key=NAME)
    QUEUE(producer.channel).declare()
    return producer


def _numbered(producer: Producer) -> blocking.Publish:
    return lambda n, sent: producer.publish(event(identity(n), sent), message_id=identity(n))


def seed() -> None:
    _publisher().publish(event(MARKER), message_id=MARKER)


def consume(kind: str) -> None:
    _Worker(_connection(), kind).run()


def publish(events: int, window: int) -> None:
    assert window == 1
    blocking.one_by_one(_numbered(_publisher()), events)


def send(events: int, rate: float) -> None:
    blocking.paced(lambda: _numbered(_publisher()), events, rate)


if __name__ == "__main__":
    contestant.run(seed=seed, consume=consume, publish=publish, send=send)
