"""compose.yaml: what the producer has accepted outlives it, on a volume for one producer."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from images.engine import run
from images.stack import Stack, stack
from support.waiting import until

pytestmark = [
    pytest.mark.usefixtures("engine"),
    pytest.mark.serial,
    pytest.mark.timeout(600),
]

PRODUCER: Final = "producer"
BROKER: Final = "rabbitmq-service"


@pytest.fixture
def project(images: dict[str, str], checkout: Path, tmp_path: Path) -> Iterator[Stack]:
    with stack(checkout, tmp_path, images) as one:
        yield one


async def test_events_of_an_outage_outlive_kill_and_down_and_are_handled(
    project: Stack, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    project.up()
    ok(project, "stop", BROKER)
    first = int(time.time()) + 1
    with project.says(PRODUCER, said):
        await until(lambda: '"outbox_fills"' in said.read_text(), within=60, what="it fills")
    last = int(time.time()) - 1
    ok(project, "kill", "--signal=SIGKILL", PRODUCER)
    ok(project, "down")

    project.up()

    made = set(range(first, last + 1))
    assert made
    await until(lambda: made <= ticks(project), within=30, what="each tick is handled")
    [started] = facts(project, PRODUCER, "producer_started")
    home = r"sqlite:////var/lib/tidings/outbox\.db \((\d+) events wait\)"
    match = re.fullmatch(home, started["outbox"])
    assert match, started["outbox"]
    assert int(match[1]) >= len(made)


async def test_a_second_producer_ends_with_78_and_the_first_goes_on(project: Stack) -> None:
    project.up()

    second = project.compose("run", "--rm", "--no-deps", "--no-TTY", PRODUCER)

    assert second.code == 78
    assert "/var/lib/tidings/outbox.db is in use by process 1" in second.err + second.out
    assert (
        project.compose("exec", "--no-TTY", PRODUCER, "tidings", "healthcheck", "--ready").code == 0
    )
    scaled = project.compose("up", "--detach", "--no-build", "--no-recreate", "--scale=producer=2")
    assert scaled.code == 0
    name = f"{project.name}-producer-2"
    await until(lambda: state(name) == "exited 78 3", within=60, what="the second is left alone")
    assert state(f"{project.name}-producer-1") == "running 0 0"


async def test_down_keeps_the_volume_and_volumes_forgets_it(project: Stack) -> None:
    project.up()
    ok(project, "down")
    assert run("docker", "volume", "inspect", f"{project.name}_outbox").code == 0

    ok(project, "down", "--volumes")

    assert run("docker", "volume", "inspect", f"{project.name}_outbox").code != 0


def ticks(project: Stack) -> set[int]:
    """The ticks that the consumer has handled; their numbers are seconds since 1970."""
    return {said["data"]["tick"] for said in facts(project, "consumer", "tick")}


def facts(project: Stack, service: str, event: str) -> list[dict[str, Any]]:
    """The log lines of one kind."""
    lines = ok(project, "logs", "--no-log-prefix", service).splitlines()
    return [said for said in map(json.loads, lines) if said["event"] == event]


def ok(project: Stack, *arguments: str) -> str:
    ended = project.compose(*arguments)
    assert ended.code == 0, ended.err
    return ended.out


def state(name: str) -> str:
    """State, exit code and number of restarts of a container."""
    form = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}"
    return run("docker", "inspect", "--format", form, name).out.strip()
