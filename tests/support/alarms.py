"""Alarms of a broker of the test's own: out of memory, as far as it knows."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ops.docker_broker import DockerBroker
from ops.local_broker import PrivateBroker
from support.broker import OwnBroker


@asynccontextmanager
async def memory_alarm(broker: OwnBroker) -> AsyncIterator[None]:
    """Let the broker believe that it has no memory left; it blocks whoever publishes."""
    await _ctl(broker, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        await _ctl(broker, "set_vm_memory_high_watermark", "0.6")


async def _ctl(broker: OwnBroker, *arguments: str) -> None:
    handle = broker._handle
    if isinstance(handle, DockerBroker):
        command, environment = ["docker", "exec", handle._name, "rabbitmqctl"], None
    else:
        assert isinstance(handle, PrivateBroker)
        command = [str(handle._server.with_name("rabbitmqctl"))]
        environment = handle._environment
    await asyncio.to_thread(
        subprocess.run, [*command, *arguments], env=environment, check=True, capture_output=True
    )
