"""The broker of the benchmark: AMQP_URI where it is set, else ours, on a core of its own."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.cores import Cores, pinned
from common.errors import BrokerUnavailable
from ops.broker_handle import USER, Guard, free_ports, new_password, wait_until_serving
from ops.docker_broker import docker_available, has_image, pull
from ops.local_broker import PrivateBroker
from ops.rabbitmq_package import find_rabbitmq_server, install_rabbitmq_server

IMAGE: Final = "rabbitmq:4-management"


@dataclass(frozen=True, slots=True)
class Address:
    """Where it is, and what it is in a few words."""

    uri: str
    describe: str


@contextmanager
def broker_for(given: str | None, cores: Cores) -> Iterator[Address]:
    """Start a broker, unless one is given, and remove it at the end."""
    if given:
        yield Address(given, "the broker of AMQP_URI, wherever it runs")
        return
    if docker_available() and (has_image(IMAGE) or pull(IMAGE)):
        with _in_docker(cores) as address:
            yield address
        return
    server = find_rabbitmq_server() or install_rabbitmq_server()
    with pinned(cores.broker):
        broker = PrivateBroker(server)
    try:
        yield Address(broker.amqp_uri, f"RabbitMQ {broker.version}, private process")
    finally:
        broker.remove()


@contextmanager
def _in_docker(cores: Cores) -> Iterator[Address]:
    """Pin from the start: Erlang counts the cores it may use when it begins."""
    name = f"tidings-bench-{secrets.token_hex(4)}"
    amqp, management = free_ports(2)
    password = new_password()
    guard = Guard('docker rm --force --volumes "$1"', name)
    try:
        pin = () if cores.broker is None else ("--cpuset-cpus", str(cores.broker))
        started = subprocess.run(
            [
                *("docker", "run", "--detach", "--name", name, "--label", "tidings.bench", *pin),
                *("--publish", f"127.0.0.1:{amqp}:5672"),
                *("--publish", f"127.0.0.1:{management}:15672"),
                *("--env", f"RABBITMQ_DEFAULT_USER={USER}"),
                *("--env", f"RABBITMQ_DEFAULT_PASS={password}"),
                IMAGE,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if started.returncode != 0:
            raise BrokerUnavailable(f"docker run failed: {started.stderr.strip()}")
        uri = f"amqp://{USER}:{password}@127.0.0.1:{amqp}/"
        version = wait_until_serving(uri, f"http://{USER}:{password}@127.0.0.1:{management}")
        yield Address(uri, f"RabbitMQ {version}, Docker image {IMAGE}")
    finally:
        guard.clean_up()
