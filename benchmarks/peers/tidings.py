"""Tidings.

Settings: `tidings consumer MODULE` as a user runs it, with everything that is on by default
(metrics and probes, duplicate check, validation, log level info); TIDINGS_CONCURRENCY=80, from
which its prefetch of 100 follows; a handler that takes a `dict`. `Producer.publish`, which is
always persistent, confirmed and mandatory, and makes the CloudEvent itself. uvloop, its extra
`fast`. Retry: RetryPolicy with a delay of 1 s, no jitter.
"""

import asyncio
import os
import subprocess
import sys
from typing import Any

from benchmarks.peers import contestant, looping
from benchmarks.peers.measuring import MARKER, TYPE, data

GROUP = "bench-tidings"
HANDLERS = "benchmarks.peers.tidings_handlers"
SETTINGS = {
    "TIDINGS_CONCURRENCY": "80",
    "TIDINGS_GROUP": GROUP,
    "TIDINGS_LOG_FORMAT": "json",
    "TIDINGS_PROBES_PORT": "0",
    "TIDINGS_SOURCE": "benchmark",
}


def _make_queue() -> None:
    """Let a consumer start: it declares what its group needs."""
    command = [sys.executable, "-m", "tidings", "consumer", HANDLERS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as consumer:
        assert consumer.stdout is not None
        any('"event":"subscribed"' in line for line in consumer.stdout)
        consumer.terminate()
        consumer.communicate()  # it says more before it ends


async def seed() -> None:
    from tidings import Producer  # noqa: PLC0415 - a consumer does not need it

    await asyncio.to_thread(_make_queue)
    async with Producer() as producer:
        await producer.publish(TYPE, data(), id=MARKER)


def consume(_: str) -> None:
    from tidings.__main__ import main  # noqa: PLC0415 - a publisher does not need it

    sys.exit(main(["consumer", HANDLERS]))


async def publish(events: int, window: int) -> None:
    from tidings import Producer  # noqa: PLC0415 - a consumer does not need it

    async with Producer() as producer:

        async def one(_: int, sent: int) -> Any:
            return await producer.publish(TYPE, data(sent))

        await looping.windowed(one, events, window)


async def send(events: int, rate: float) -> None:
    from tidings import Producer  # noqa: PLC0415 - a consumer does not need it

    async with Producer() as producer:

        async def one(_: int, sent: int) -> Any:
            return await producer.publish(TYPE, data(sent))

        await looping.paced(one, events, rate)


if __name__ == "__main__":
    os.environ.update(SETTINGS)
    contestant.run(
        seed=lambda: looping.on_loop(seed()),
        consume=consume,
        publish=lambda events, window: looping.on_loop(publish(events, window)),
        send=lambda events, rate: looping.on_loop(send(events, rate)),
    )
