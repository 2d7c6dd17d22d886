"""Alarms of a broker of the test's own: out of memory, as far as it knows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.broker import OwnBroker
from support.ctl import rabbitmqctl


@asynccontextmanager
async def memory_alarm(broker: OwnBroker) -> AsyncIterator[None]:
    """Let the broker believe that it has no memory left; it blocks whoever publishes."""
    await rabbitmqctl(broker, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        await rabbitmqctl(broker, "set_vm_memory_high_watermark", "0.6")
