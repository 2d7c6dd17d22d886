"""Which brokers a test run can have, and one shared broker of each kind, started when needed."""

import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from ops.broker_handle import USER, BrokerHandle, new_password, wait_until_serving
from ops.docker_broker import DockerBroker, docker_available, has_image, pull
from ops.local_broker import PrivateBroker
from ops.rabbitmq_package import find_rabbitmq_server, install_rabbitmq_server

IMAGES: Final = ("rabbitmq:4-management", "rabbitmq:3-management")

_STATISTICS_EACH_SECOND: Final = (
    "-rabbitmq_management sample_retention_policies "
    "[{global,[{60,1}]},{basic,[{60,1}]},{detailed,[{60,1}]}]"
)
"""Five by default; the management API lists a new connection that late."""


@dataclass(frozen=True)
class Kind:
    """A broker version that tests run on."""

    version: str
    image: str | None
    """None: the machine's own rabbitmq-server, or the broker of TEST_AMQP_URI."""

    def __str__(self) -> str:
        """Return the name that tests carry as their parameter, as in rabbitmq-4.3."""
        return "rabbitmq-" + ".".join(self.version.split(".")[:2])

    @property
    def origin(self) -> str:
        """Where its brokers come from."""
        if given_address():
            return "TEST_AMQP_URI"
        return self.image or "private rabbitmq-server"

    def start_own(self) -> BrokerHandle:
        """Start one that a single test may stop and harm."""
        if self.image is not None:
            return DockerBroker(self.image)
        return PrivateBroker(find_rabbitmq_server() or install_rabbitmq_server())


@dataclass(frozen=True)
class Address:
    """Where a broker serves, with an administrator's credentials."""

    amqp_uri: str
    management_uri: str


class Brokers:
    """The brokers of one test run: the controlling process starts them, workers get addresses."""

    def __init__(self) -> None:
        self._running: dict[Kind, Address] = {}
        self._cleanups = ExitStack()

    @cached_property
    def kinds(self) -> Sequence[Kind]:
        """What there is to test on."""
        if given := given_address():
            return [Kind(wait_until_serving(given.amqp_uri, given.management_uri, within=10), None)]
        images = (
            [image for image in IMAGES if has_image(image) or pull(image)]
            if docker_available()
            else []
        )
        if not images:
            server = find_rabbitmq_server() or install_rabbitmq_server()
            return [Kind(_version_in(str(server.resolve())), None)]
        with ThreadPoolExecutor() as pool:
            return list(map(Kind, pool.map(_version_inside, images), images))

    def shared(self, kind: Kind) -> Address:
        """Return the broker of this kind that all tests share; start it if it does not run yet."""
        if kind not in self._running:
            self._running[kind] = given_address() or self._start(kind)
        return self._running[kind]

    def export(self) -> list[tuple[tuple[str, str | None], tuple[str, str]]]:
        """Start one of each kind, and describe them in plain types, which xdist can send."""
        with ThreadPoolExecutor() as pool:
            addresses = pool.map(self.shared, self.kinds)
            return [
                (astuple(kind), astuple(where))
                for kind, where in zip(self.kinds, addresses, strict=True)
            ]

    @classmethod
    def imported(cls, exported: list[tuple[tuple[str, str | None], tuple[str, str]]]) -> "Brokers":
        """Know the brokers that another process has exported, and will remove."""
        brokers = cls()
        brokers._running = {Kind(*kind): Address(*where) for kind, where in exported}
        brokers.kinds = list(brokers._running)
        return brokers

    def remove(self) -> None:
        """Remove those that were started here."""
        self._cleanups.close()

    def _start(self, kind: Kind) -> Address:
        if kind.image is None:
            broker = kind.start_own()
            self._cleanups.callback(broker.remove)
            return Address(broker.amqp_uri, broker.management_uri)
        # Testcontainers' own cleaner is one more image; where that is missing, ours must do.
        testcontainers_config.ryuk_disabled = not has_image(testcontainers_config.ryuk_image)
        password = new_password()
        container = (
            DockerContainer(kind.image)
            .with_env("RABBITMQ_DEFAULT_USER", USER)
            .with_env("RABBITMQ_DEFAULT_PASS", password)
            .with_env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", _STATISTICS_EACH_SECOND)
            .with_exposed_ports(5672, 15672)
        )
        self._cleanups.callback(container.stop)
        container.start()
        host = container.get_container_host_ip()
        address = Address(
            f"amqp://{USER}:{password}@{host}:{container.get_exposed_port(5672)}/",
            f"http://{USER}:{password}@{host}:{container.get_exposed_port(15672)}",
        )
        wait_until_serving(address.amqp_uri, address.management_uri)
        return address


def given_address() -> Address | None:
    """Return the broker that the caller of pytest has opted in to."""
    if (uri := os.environ.get("TEST_AMQP_URI")) is None:
        return None
    parts = urlsplit(uri)
    guess = f"http://{parts.username}:{parts.password}@{parts.hostname}:15672"
    return Address(uri, os.environ.get("TEST_MANAGEMENT_URI", guess))


def _version_inside(image: str) -> str:
    asked = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "rabbitmqctl", image, "version"],
        capture_output=True,
        text=True,
        check=True,
    )
    return _version_in(asked.stdout)


def _version_in(text: str) -> str:
    """Find the version in a program's output, or in the path of the files of a package."""
    found = re.search(r"\d+\.\d+\.\d+", text)
    assert found, f"no version in {text!r}"
    return found.group()
