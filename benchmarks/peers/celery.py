"""Celery.

Settings: quorum queue, `acks_late`, prefetch 100 (`worker_prefetch_multiplier`), `confirm_publish`,
persistent (its default), no result backend, JSON (its default); one worker with `--pool threads
--concurrency 1`, its fastest for tasks that do not wait (`solo` may wait a second before it looks
at what it has read already), `--without-heartbeat --without-gossip --without-mingle` and without
remote control; log level warning (its default). Retry: `autoretry_for` with a countdown of 1 s
through its native delayed delivery, which it needs with quorum queues.
It publishes one by one: `apply_async` blocks until the confirm.
"""

import os
from typing import Any

from celery import Celery
from celery.app.task import Task
from kombu import Exchange, Queue

from benchmarks.peers import blocking, contestant
from benchmarks.peers.measuring import (
    MARKER,
    PREFETCH,
    FailsOnce,
    event,
    identity,
    meter,
)

QUEUE = "bench-celery"

app = Celery("bench", broker=os.environ["AMQP_URI"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_default_delivery_mode="persistent",
    task_default_exchange=QUEUE,
    task_default_exchange_type="topic",
    task_default_queue=QUEUE,
    task_default_routing_key=QUEUE,
    task_ignore_result=True,
    task_queues=[
        Queue(
            QUEUE,
            Exchange(QUEUE, type="topic"),
            routing_key=QUEUE,
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=PREFETCH,
)


def nothing(got: dict[str, Any]) -> None:  # noqa: ARG001 - what it is sent
    meter.handled()


def retry(got: dict[str, Any]) -> None:
    if meter.fails(got["id"]):
        raise FailsOnce


def latency(got: dict[str, Any]) -> None:
    meter.arrived(got["data"]["sent"])


HANDLERS = {"nothing": nothing, "retry": retry, "latency": latency}
AGAIN = {"autoretry_for": (FailsOnce,), "retry_kwargs": {"countdown": 1}}


def _task(kind: str = "nothing") -> Task:
    options = AGAIN if kind == "retry" else {}
    task: Task = app.task(name="bench", **options)(HANDLERS[kind])
    return task


def seed() -> None:
    # Its worker makes what delayed delivery needs; the queue is made by who publishes first.
    _task().apply_async((event(MARKER),), task_id=MARKER)


def consume(kind: str) -> None:
    _task(kind)
    quiet = ("--without-heartbeat", "--without-gossip", "--without-mingle")
    app.worker_main(["worker", "--pool", "threads", "--concurrency", "1", *quiet])


def publish(events: int, window: int) -> None:
    assert window == 1
    task = _task()
    blocking.one_by_one(
        lambda n, sent: task.apply_async((event(identity(n), sent),), task_id=identity(n)), events
    )


def send(events: int, rate: float) -> None:
    task = _task()

    def one(number: int, sent: int) -> None:
        task.apply_async((event(identity(number), sent),), task_id=identity(number))

    blocking.paced(lambda: one, events, rate)


if __name__ == "__main__":
    contestant.run(seed=seed, consume=consume, publish=publish, send=send)
