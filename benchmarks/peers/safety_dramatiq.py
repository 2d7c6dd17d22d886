"""Dramatiq in `make safety`.

Defaults: `RabbitmqBroker(url=uri)` with its default middleware (20 retries, the first after about
15 s, the last after days; then its queue `.XQ`, where an event stays for 7 days), `@actor`,
`dramatiq MODULE` (a process for each core, 8 threads each; acks after the actor; classic durable
queues). Nothing is set but the actor's name.
"""

import os

import dramatiq
from dramatiq import Message
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers.measuring import MARKER
from benchmarks.peers.safety_events import TYPE, data, handle, no_core_dump

no_core_dump()

broker = RabbitmqBroker(url=os.environ["AMQP_URI"])
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name=TYPE)
def take(got: dict[str, str]) -> None:
    handle(got["id"])


if __name__ == "__main__":
    # The id of a message is its own to choose; ours can be found again in the bytes.
    broker.enqueue(Message(take.queue_name, TYPE, (data(),), {}, {}, message_id=MARKER))
    broker.close()
