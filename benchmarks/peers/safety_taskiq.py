"""Taskiq with taskiq-aio-pika in `make safety`.

Defaults: `AioPikaBroker(uri)` (quorum queue, `qos` 10, a dead-letter queue of its own making),
`@broker.task`, `taskiq worker MODULE:broker` (two processes, which it restarts when they die; acks
after the task). No retry middleware, which is its default. Nothing is set but the task's name.
"""

import asyncio
import os

from taskiq_aio_pika import AioPikaBroker

from benchmarks.peers.measuring import MARKER
from benchmarks.peers.safety_events import TYPE, data, handle_async, no_core_dump

no_core_dump()

broker = AioPikaBroker(os.environ["AMQP_URI"])


@broker.task(task_name=TYPE)
async def take(got: dict[str, str]) -> None:
    await handle_async(got["id"])


async def send() -> None:
    await broker.startup()
    # The id of a task is its own to choose; ours can be found again in the bytes.
    await take.kicker().with_task_id(MARKER).kiq(data())
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(send())
