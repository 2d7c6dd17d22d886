"""Both images at work: read-only, as 10001, without capabilities, on every broker that is there."""

import secrets
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from images.engine import Container, container, run, within
from ops.broker_handle import free_ports
from support.broker import Broker
from support.services import emit

pytestmark = [
    pytest.mark.usefixtures("engine"),
    pytest.mark.serial,
    pytest.mark.timeout(600),
]

IDLE_KILOBYTES = 64 * 1024
ROLES = ("consumer", "producer")


def started(
    image: str, uri: str, folder: Path, *arguments: str, **settings: str
) -> AbstractContextManager[Container]:
    """Run an image on the host's network: the tests' brokers listen on 127.0.0.1 only."""
    environment = {
        "AMQP_URI": uri,
        "TIDINGS_PROBES_PORT": str(free_ports(1)[0]),
        **{f"TIDINGS_{name}": value for name, value in settings.items()},
    }
    return container(
        image,
        *arguments,
        name=f"tidings-test-{secrets.token_hex(4)}",
        folder=folder,
        options=(
            "--network=host",
            *(f"--env={name}={value}" for name, value in environment.items()),
        ),
    )


async def test_a_hardened_pair_handles_an_event_and_ends_with_0(
    images: dict[str, str], broker: Broker, tmp_path: Path
) -> None:
    with started(images["consumer"], broker.uri, tmp_path) as consumer:
        await consumer.says('"event":"subscribed"')
        with started(images["producer"], broker.uri, tmp_path) as producer:
            await consumer.says('"event":"tick"')

            assert identity(consumer) == identity(producer) == "10001 10001 0000000000000000"
            assert producer.stop() == 0
        assert consumer.stop() == 0

    assert '"event":"producer_stopped"' in producer.output
    assert '"event":"consumer_stopped"' in consumer.output


def identity(running: Container) -> str:
    """User, group, and the capabilities that it could ever have."""
    status = running.exec("cat", "/proc/1/status").out
    facts = dict(line.split(":", 1) for line in status.splitlines())
    return " ".join(facts[name].split()[0] for name in ("Uid", "Gid", "CapBnd"))


@pytest.mark.parametrize("role", ROLES)
async def test_an_idle_service_takes_less_than_64_mebibytes(
    images: dict[str, str], broker: Broker, tmp_path: Path, role: str
) -> None:
    with started(images[role], broker.uri, tmp_path) as service:
        await service.says('"event":"connected"')

        status = service.exec("cat", "/proc/1/status").out
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))

    assert int(resident.split()[1]) < IDLE_KILOBYTES


async def test_the_health_check_asks_the_service_and_not_the_broker(
    images: dict[str, str], broker: Broker, tmp_path: Path
) -> None:
    nowhere = f"amqp://nobody:nothing@127.0.0.1:{free_ports(1)[0]}/"
    with (
        started(images["consumer"], broker.uri, tmp_path) as well,
        started(images["consumer"], nowhere, tmp_path) as lonely,
    ):
        await well.says('"event":"subscribed"')
        await lonely.says("broker_unavailable")

        assert well.exec("tidings", "healthcheck").code == 0
        assert well.exec("tidings", "healthcheck", "--ready").code == 0
        assert lonely.exec("tidings", "healthcheck").code == 0
        said = lonely.exec("tidings", "healthcheck", "--ready")
    assert said.code == 1
    assert "consume: " in said.out


async def test_a_users_code_is_one_layer_on_top(shop: str, broker: Broker, tmp_path: Path) -> None:
    with started(shop, broker.uri, tmp_path, "shop.handlers") as consumer:
        await consumer.says('"event":"subscribed"')
        await emit(broker.uri, "order.created", {"order": 7, "total": 12.5})

        await consumer.says('"event":"charged"')

    assert '"order":7' in consumer.output


def test_the_commands_for_operating_are_there(shop: str) -> None:
    said = within(shop, "tidings", "describe", "shop.handlers")

    assert said.code == 0
    assert "order.created" in said.out


@pytest.mark.parametrize("role", ROLES)
def test_without_a_broker_named_it_ends_with_78_and_one_line(
    images: dict[str, str], role: str
) -> None:
    ended = run("docker", "run", "--rm", images[role])

    assert ended.code == 78
    assert ended.err.startswith("tidings: AMQP_URI is not set: ")
    assert ended.err.count("\n") == 1


async def test_a_secret_can_be_a_file(
    images: dict[str, str], broker: Broker, tmp_path: Path
) -> None:
    secret = tmp_path / "uri"
    secret.write_text(broker.uri + "\n")
    secret.chmod(0o444)
    name = f"tidings-test-{secrets.token_hex(4)}"
    options = (
        "--network=host",
        f"--volume={secret}:/run/secrets/uri:ro",
        "--env=AMQP_URI_FILE=/run/secrets/uri",
        f"--env=TIDINGS_PROBES_PORT={free_ports(1)[0]}",
    )
    with container(images["producer"], name=name, folder=tmp_path, options=options) as producer:
        await producer.says('"event":"connected"')
