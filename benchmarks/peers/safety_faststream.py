"""FastStream in `make safety`.

Defaults: `RabbitBroker(uri)`, `@broker.subscriber("safety")` (a classic durable queue without a
dead-letter exchange, no prefetch limit, ack policy REJECT_ON_ERROR), a handler that takes a `dict`.
`FastStream(broker)` runs in one process. One queue has one handler, so there is no unknown type;
for that experiment alone the handler has a `filter` on a header, as its documentation tells types
apart.
"""

import asyncio
import os
import sys
from typing import Any

from faststream import FastStream
from faststream.rabbit import RabbitBroker, RabbitMessage

from benchmarks.peers.safety_events import TYPE, data, handle_async, no_core_dump, what

no_core_dump()

QUEUE = "safety"

broker = RabbitBroker(os.environ["AMQP_URI"])
app = FastStream(broker)


async def take(got: dict[str, Any]) -> None:
    await handle_async(got["id"])


def is_known(message: RabbitMessage) -> bool:
    return message.headers.get("type") == TYPE


subscriber = broker.subscriber(QUEUE)
if what() == "unknown":
    subscriber(filter=is_known)(take)
else:
    subscriber(take)


async def send() -> None:
    async with RabbitBroker(os.environ["AMQP_URI"]) as publisher:
        await publisher.publish(data(), queue=QUEUE, headers={"type": TYPE})


if __name__ == "__main__":
    asyncio.run(send() if sys.argv[1:] == ["send"] else app.run())
