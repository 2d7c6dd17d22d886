"""compose.yaml: up to the first event, scaled under load, down with 0."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from common.service import GRACE_AFTER_DRAIN
from common.topology import dead_name
from consumer.settings import ConsumerSettings
from images.engine import build, docker
from images.stack import Stack, stack
from support.services import broker_connection, emit
from support.waiting import until

pytestmark = [
    pytest.mark.usefixtures("engine"),
    pytest.mark.serial,
    pytest.mark.timeout(600),
]

EVENTS: Final = 3000
GROUP: Final = "event-consumer"
SLOW_HANDLER: Final = '''
"""A handler that takes a while, and writes down each of its runs."""
import asyncio, json, socket
from tidings import Context, Event, handler

@handler("load.made")
async def work(event: Event, ctx: Context) -> None:
    await asyncio.sleep(0.1)
    with open(f"/results/{socket.gethostname()}", "a") as file:
        print(json.dumps([event.data, ctx.attempt]), file=file)
'''


async def test_a_stack_comes_up_handles_an_event_and_goes_down_with_0(
    images: dict[str, str], checkout: Path, tmp_path: Path
) -> None:
    said, died = tmp_path / "said", tmp_path / "died"
    with stack(checkout, tmp_path, images) as project, project.deaths(died):
        project.up()
        with project.says("consumer", said):
            await until(lambda: '"event":"tick"' in said.read_text(), within=30, what="a tick")

        assert project.compose("down").code == 0
        await until(lambda: len(died.read_text().splitlines()) == 3, what="all have ended")

    codes = dict(line.rsplit(" ", 1) for line in died.read_text().splitlines())
    assert codes == {
        f"{project.name}-consumer-1": "0",
        f"{project.name}-producer-1": "0",
        f"{project.name}-rabbitmq-service-1": "0",
    }


async def test_scaling_to_four_and_back_under_load_loses_nothing_and_costs_no_attempt(
    images: dict[str, str], checkout: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    results.chmod(0o777)  # the service is 10001
    user: dict[str, Any] = {
        "image": built(tmp_path, images["consumer"]),
        "environment": {"TIDINGS_MODULES": "load.handlers", "TIDINGS_CONCURRENCY": "8"},
        "volumes": [f"{results}:/results"],
    }
    try:
        with stack(checkout, tmp_path, images, user) as project:
            project.up("consumer")
            await emit(project.uri, "load.made", *range(EVENTS))

            project.up("--no-recreate", "--scale=consumer=4", "consumer")
            await until(lambda: len(list(results.iterdir())) == 4, what="all four work")
            project.up("--no-recreate", "--scale=consumer=1", "consumer")
            assert count(results) < EVENTS, "all was handled before three were stopped"
            project.up("--no-recreate", "--scale=consumer=4", "consumer")  # done sooner

            handled = await everything(project, results)
            assert handled == Counter({(number, 1): 1 for number in range(EVENTS)})
            assert await depth(project, dead_name(GROUP)) == 0
    finally:
        docker("image", "rm", "--force", user["image"])


def built(folder: Path, base: str) -> str:
    """Build an image with the slow handler on top of ours."""
    context = folder / "user"
    (context / "load").mkdir(parents=True)
    (context / "load/handlers.py").write_text(SLOW_HANDLER)
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY load /app/load\n")
    return build(f"{base}-load", context)


def runs(results: Path) -> list[tuple[int, int]]:
    """Return number and attempt of each run of the handler, in all replicas that there were."""
    lines = [line for file in results.iterdir() for line in file.read_text().splitlines()]
    return [(number, attempt) for number, attempt in map(json.loads, lines)]


def count(results: Path) -> int:
    """Return how many runs there are, without reading what they say."""
    return sum(file.read_bytes().count(b"\n") for file in results.iterdir())


async def everything(project: Stack, results: Path) -> Counter[tuple[int, int]]:
    """Wait until all has been handled and the queue is empty."""
    await until(lambda: count(results) >= EVENTS, within=120, what=f"{EVENTS} events are handled")

    async def settled() -> bool:
        return await depth(project, GROUP) == 0

    await until(settled, what="nothing is left in the queue")
    return Counter(runs(results))


async def depth(project: Stack, queue: str) -> int:
    async with broker_connection(project.uri) as connection:
        return await connection.depth(queue)


def test_every_service_is_as_restricted_as_it_can_be(checkout: Path, tmp_path: Path) -> None:
    for name, service in Stack(checkout, tmp_path).config()["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]), name
        assert service["pids_limit"], name
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}, name
        assert "container_name" not in service, name  # nor a fixed port, or it cannot be scaled
        assert (name == "rabbitmq-service") == all("published" in p for p in service["ports"])


def test_docker_waits_longer_for_a_service_than_the_service_for_its_handlers(
    checkout: Path, tmp_path: Path
) -> None:
    services = Stack(checkout, tmp_path).config()["services"]
    drain = ConsumerSettings.model_fields["drain_timeout"].default

    for role in ("consumer", "producer"):
        assert services[role]["stop_grace_period"] == f"{drain + GRACE_AFTER_DRAIN + 5:g}s"


def test_the_broker_stops_taking_events_well_before_its_container_is_killed(
    checkout: Path, tmp_path: Path
) -> None:
    broker = Stack(checkout, tmp_path).config()["services"]["rabbitmq-service"]
    arguments = broker["environment"]["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"].split()
    limit = int(broker["mem_limit"])

    known = int(arguments[arguments.index("total_memory_available_override_value") + 1])
    mark = arguments[arguments.index("vm_memory_high_watermark") + 1]
    assert known == limit * 8 // 10
    assert mark == f"{{absolute,{600 * 2**20}}}"
    assert known > 600 * 2**20


def test_the_documented_address_is_the_one_in_the_file(checkout: Path, tmp_path: Path) -> None:
    project = Stack(checkout, tmp_path)
    services = project.config()["services"]

    inside = project.uri.rpartition("@")[0] + "@rabbitmq-service:5672/"
    assert {services[role]["environment"]["AMQP_URI"] for role in ("consumer", "producer")} == {
        inside
    }
    assert services["rabbitmq-service"]["hostname"] == "rabbitmq-service"


def test_without_credentials_compose_names_the_remedy(checkout: Path, tmp_path: Path) -> None:
    project = Stack(checkout, tmp_path)
    (tmp_path / ".env").write_text("")

    refused = project.compose("config", "--quiet")

    assert refused.code != 0
    assert "run `make env`" in refused.err


def test_the_example_of_a_users_code_is_a_valid_override(checkout: Path, tmp_path: Path) -> None:
    project = Stack(checkout, tmp_path, checkout / "examples/shop/compose.yaml")
    services = project.config()["services"]

    assert services["producer"]["environment"]["TIDINGS_DATA"] == "/var/lib/tidings"
    assert [volume["source"] for volume in services["producer"]["volumes"]] == ["outbox"]
    for role in ("consumer", "producer"):
        assert services[role]["build"]["context"] == str(checkout / "examples/shop")
        assert services[role]["build"]["args"] == {"IMAGE": f"tidings-{role}"}
        assert [watched["path"] for watched in services[role]["develop"]["watch"]] == [
            str(checkout / "examples/shop/shop")
        ]
