"""`rabbitmqctl` on a broker of the test's own."""

import asyncio
import subprocess

from ops.docker_broker import DockerBroker
from ops.local_broker import PrivateBroker
from support.broker import OwnBroker


async def rabbitmqctl(broker: OwnBroker, *arguments: str) -> None:
    """Run it, and fail where it fails."""
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
