"""Tidings in `make safety`.

Defaults of `tidings consumer MODULE`, but for what would make the run last hours: `attempts=2` with
1 s between them (default 10, over 2.5 hours) and TIDINGS_NO_HANDLER_FOR=5s (default 15 minutes, in
which an event of an unknown type waits for a rolling deploy). Both change when an event is set
aside, not whether. TIDINGS_GROUP=safety; TIDINGS_PROBES_PORT=0, because several consumers run at a
time.
"""

import asyncio

from benchmarks.peers.measuring import MARKER
from benchmarks.peers.safety_events import TYPE, data, handle_async, no_core_dump
from tidings import Event, Producer, RetryPolicy, handler

no_core_dump()

SOON = RetryPolicy(attempts=2, first_delay=1, factor=1, longest_delay=1)


@handler(TYPE, attempts=2, retry=SOON)
async def take(event: Event) -> None:
    await handle_async(event.id)


async def send() -> None:
    async with Producer() as producer:
        await producer.publish(TYPE, data(), id=MARKER)


if __name__ == "__main__":
    asyncio.run(send())
