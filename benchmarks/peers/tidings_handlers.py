"""What `tidings consumer` runs in `tidings.py`: the handler of the measure."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers.measuring import TYPE, FailsOnce, meter
from tidings import Event, RetryPolicy, handler

ONE_SECOND = RetryPolicy(first_delay=1, factor=1, longest_delay=1, jitter="none")


async def nothing(_: dict[str, Any]) -> None:
    meter.handled()


async def awaits(_: dict[str, Any]) -> None:
    await asyncio.sleep(0)
    meter.handled()


async def retry(event: Event) -> None:
    if meter.fails(event.id):
        raise FailsOnce


async def latency(got: dict[str, Any]) -> None:
    meter.arrived(got["sent"])


HANDLERS: dict[str, Callable[..., Awaitable[None]]] = {
    "nothing": nothing,
    "awaits": awaits,
    "retry": retry,
    "latency": latency,
}

handler(TYPE, retry=ONE_SECOND if meter.kind == "retry" else None)(HANDLERS[meter.kind])
