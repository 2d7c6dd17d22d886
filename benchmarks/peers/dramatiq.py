"""Dramatiq.

Settings: `RabbitmqBroker` with `confirm_delivery=True`, persistent (its default), ack after the
actor (its default), its default middleware, JSON (its default). One process with one `Worker` (its
command forks one for each core) with one thread, the fastest for actors that do not wait, and
prefetch 100 instead of twice the threads. Its queues are durable classic ones: it cannot declare
quorum queues. Retry: `min_backoff` and `max_backoff` 1000 ms, which it spreads over 0.5 to 1 s,
through its `.DQ` queue with the prefetch of its default 8 threads, 8000.
It publishes one by one: `send` blocks until the confirm.
"""

import os

os.environ["dramatiq_queue_prefetch"] = "100"  # noqa: SIM112 - its name; read on import
os.environ["dramatiq_delay_queue_prefetch"] = "8000"  # noqa: SIM112 - as above

import threading
from typing import Any

import dramatiq
from dramatiq import Actor, Message, Worker
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers import blocking, contestant
from benchmarks.peers.measuring import MARKER, FailsOnce, event, identity, meter

QUEUE = "bench-dramatiq"

broker = RabbitmqBroker(url=os.environ["AMQP_URI"], confirm_delivery=True)
dramatiq.set_broker(broker)


def nothing(got: dict[str, Any]) -> None:  # noqa: ARG001 - what it is sent
    meter.handled()


def retry(got: dict[str, Any]) -> None:
    if meter.fails(got["id"]):
        raise FailsOnce


def latency(got: dict[str, Any]) -> None:
    meter.arrived(got["data"]["sent"])


HANDLERS = {"nothing": nothing, "retry": retry, "latency": latency}
AGAIN = {"min_backoff": 1000, "max_backoff": 1000}


def _actor(kind: str = "nothing") -> Actor[Any, Any]:
    return dramatiq.actor(HANDLERS[kind], actor_name="bench", queue_name=QUEUE, **AGAIN)


def _send(name: str, sent: int) -> None:
    message: Message[Any] = Message(QUEUE, "bench", (event(name, sent),), {}, {}, message_id=name)
    broker.enqueue(message)


def seed() -> None:
    _actor()
    broker.enqueue(Message(QUEUE, "bench", (event(MARKER),), {}, {}, message_id=MARKER))


def consume(kind: str) -> None:
    _actor(kind)
    Worker(broker, worker_threads=1).start()
    threading.Event().wait()


def publish(events: int, window: int) -> None:
    assert window == 1
    _actor()
    blocking.one_by_one(lambda n, sent: _send(identity(n), sent), events)


def send(events: int, rate: float) -> None:
    _actor()
    blocking.paced(lambda: lambda n, sent: _send(identity(n), sent), events, rate)


if __name__ == "__main__":
    contestant.run(seed=seed, consume=consume, publish=publish, send=send)
