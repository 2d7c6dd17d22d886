"""What every broker of our own can do, whether it runs in Docker or as a private process."""

import base64
import contextlib
import http.client
import json
import secrets
import socket
import subprocess
import time
from typing import Final, Protocol
from urllib.parse import urlsplit

from common.errors import BrokerUnavailable

USER: Final = "tidings"
"""Not guest, which RabbitMQ treats specially."""


class BrokerHandle(Protocol):
    """A broker that belongs to this process: it may be stopped, harmed and removed."""

    @property
    def amqp_uri(self) -> str:
        """Where services connect, with credentials; the same after every start."""

    @property
    def management_uri(self) -> str:
        """The management API, with credentials; the same after every start."""

    @property
    def version(self) -> str:
        """The version that the broker reports, as in 4.3.1."""

    @property
    def describe(self) -> str:
        """What runs where, in a few words for a banner."""

    def start(self) -> None:
        """Start again on the same ports and data, and wait until it serves."""

    def stop(self) -> None:
        """Shut down as an administrator would; data stays."""

    def kill(self) -> None:
        """Die like on a power cut; data stays."""

    def pause(self) -> None:
        """Freeze: connections stay open and nothing answers."""

    def unpause(self) -> None:
        """Go on after a pause."""

    def remove(self) -> None:
        """End it whatever its state, and leave no process and no file."""


class Guard:
    """Cleans up when told to, or when this process has died, even by SIGKILL.

    A shell waits for the end of a pipe whose other end only this process holds.
    """

    def __init__(self, script: str, *arguments: str) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", f"read -r _; {script}", "guard", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # a Ctrl-C in the terminal is for us, not for the guard
        )

    def clean_up(self) -> None:
        """Let the guard do its work now, and wait until it is done."""
        self._shell.communicate(timeout=60)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on.

    Taken by a listener each, so that they differ; freed for the broker, which binds them next.
    """
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [int(held.getsockname()[1]) for held in sockets]


def new_password() -> str:
    """Return a password that needs no quoting in a URI or a configuration file."""
    return secrets.token_hex(16)


def wait_until_serving(amqp_uri: str, management_uri: str, *, within: float = 90.0) -> str:
    """Wait until both ports serve clients, and return the broker's version."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if _speaks_amqp(amqp_uri) and (version := _reported_version(management_uri)):
            return version
        time.sleep(0.1)
    raise BrokerUnavailable(
        f"the broker on port {urlsplit(amqp_uri).port} did not start in {within:.0f} s"
    )


def _speaks_amqp(uri: str) -> bool:
    """Tell whether a broker answers: Docker accepts connections long before there is one."""
    where = urlsplit(uri)
    with (
        contextlib.suppress(OSError),
        socket.create_connection((where.hostname, where.port), 2) as connection,
    ):
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(1) == b"\x01"  # a method frame: Connection.Start
    return False


def _reported_version(uri: str) -> str | None:
    where = urlsplit(uri)
    credentials = base64.b64encode(f"{where.username}:{where.password}".encode()).decode()
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request(
            "GET", "/api/overview", headers={"Authorization": f"Basic {credentials}"}
        )
        response = connection.getresponse()
        body = response.read()
        return (
            str(json.loads(body)["rabbitmq_version"])
            if response.status == http.HTTPStatus.OK
            else None
        )
    return None
