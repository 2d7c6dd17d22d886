"""The broker of `dev` starts with what its pod is given. What a cluster adds is not tried here."""

import secrets
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.containers import Container
from manifests.rendering import Render
from ops.docker_broker import docker_available, has_image, pull
from support.waiting import until


@pytest.fixture
def broker(dev: Render, tmp_path: Path) -> Iterator[Container]:
    image = dev.broker.containers[0]["image"]
    if not docker_available() or not (has_image(image) or pull(image)):
        pytest.skip("no Docker engine with the broker's image")
    tmp_path.chmod(0o755)
    container = Container(dev, dev.broker, f"tidings-manifests-{secrets.token_hex(4)}", tmp_path)
    try:
        yield container
    finally:
        container.remove()


async def test_it_starts_restricted_serves_every_port_and_keeps_what_it_knows(
    broker: Container, dev: Render
) -> None:
    probe = dev.broker.containers[0]["startupProbe"]["httpGet"]
    broker.start()
    await until(lambda: _answers(broker, probe["port"], probe["path"]), within=90)

    host, _, port = broker.address("amqp").rpartition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    assert _answers(broker, "prometheus", "/metrics")
    assert broker.execute("rabbitmqctl", "-q", "list_users", "--no-table-headers").split() == [
        "tidings",
        "[administrator]",
    ]
    assert "614MiB" in broker.execute("rabbitmqctl", "-q", "environment")
    broker.execute("rabbitmqctl", "-q", "add_vhost", "kept")
    assert broker.stop() == 0

    broker.start()  # another container, as another pod of the StatefulSet would be
    await until(lambda: _answers(broker, probe["port"], probe["path"]), within=90)
    assert "kept" in broker.execute("rabbitmqctl", "-q", "list_vhosts").split()


def _answers(broker: Container, port: str, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{broker.address(port)}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
