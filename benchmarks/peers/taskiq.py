"""Taskiq, with taskiq-aio-pika.

Settings: quorum queue (its default), `qos=100` and 100 tasks at once, its default ack (after the
task and its result; there is no result backend), its ORJSON serializer, uvloop as its command does;
persistent and confirmed are its defaults. `run_receiver_task` in one process instead of `taskiq
worker`, which adds a parent process. Retry: `SmartRetryMiddleware` with a delay of 1 s through a
delay queue of quorum type. Its log lines for each task (info) are off, as ours are.
"""

import asyncio
import os
from typing import Any

from taskiq import AsyncTaskiqDecoratedTask, SmartRetryMiddleware
from taskiq.api import run_receiver_task
from taskiq.serializers import ORJSONSerializer
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

from benchmarks.peers import contestant, looping
from benchmarks.peers.measuring import (
    MARKER,
    NOT_SENT,
    PREFETCH,
    FailsOnce,
    event,
    identity,
    meter,
)

Task = AsyncTaskiqDecoratedTask[Any, None]


def _broker() -> AioPikaBroker:
    broker = AioPikaBroker(
        os.environ["AMQP_URI"],
        qos=PREFETCH,
        exchange=Exchange(name="bench-taskiq"),
        task_queues=[Queue(name="bench-taskiq")],
        dead_letter_queue=Queue(name="bench-taskiq.dead"),
        delay_queue=Queue(name="bench-taskiq.delay"),
    )
    broker.add_middlewares(SmartRetryMiddleware(default_retry_label=True, default_delay=1))
    return broker.with_serializer(ORJSONSerializer())


async def nothing(got: dict[str, Any]) -> None:  # noqa: ARG001 - what it is sent
    meter.handled()


async def awaits(got: dict[str, Any]) -> None:  # noqa: ARG001 - what it is sent
    await asyncio.sleep(0)
    meter.handled()


async def retry(got: dict[str, Any]) -> None:
    if meter.fails(got["id"]):
        raise FailsOnce


async def latency(got: dict[str, Any]) -> None:
    meter.arrived(got["data"]["sent"])


HANDLERS = {"nothing": nothing, "awaits": awaits, "retry": retry, "latency": latency}


def _task(broker: AioPikaBroker, kind: str = "nothing") -> Task:
    return broker.register_task(HANDLERS[kind], "bench")


async def _publish(task: Task, name: str, sent: int) -> None:
    await task.kicker().with_task_id(name).kiq(event(name, sent))


async def seed() -> None:
    broker = _broker()
    await broker.startup()
    await _publish(_task(broker), MARKER, NOT_SENT)
    await broker.shutdown()


async def consume(kind: str) -> None:
    broker = _broker()
    _task(broker, kind)
    await run_receiver_task(broker, max_async_tasks=PREFETCH, run_startup=True)


async def publish(events: int, window: int) -> None:
    broker = _broker()
    await broker.startup()
    task = _task(broker)
    await looping.windowed(lambda n, sent: _publish(task, identity(n), sent), events, window)


async def send(events: int, rate: float) -> None:
    broker = _broker()
    await broker.startup()
    task = _task(broker)
    await looping.paced(lambda n, sent: _publish(task, identity(n), sent), events, rate)


if __name__ == "__main__":
    contestant.run(
        seed=lambda: looping.on_loop(seed()),
        consume=lambda kind: looping.on_loop(consume(kind)),
        publish=lambda events, window: looping.on_loop(publish(events, window)),
        send=lambda events, rate: looping.on_loop(send(events, rate)),
    )
