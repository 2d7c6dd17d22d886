"""What is in the images, and what is not."""

import json

import pytest

from common.version import VERSION
from images.engine import docker, look, run, within

pytestmark = [
    pytest.mark.usefixtures("engine"),
    pytest.mark.serial,
    pytest.mark.timeout(600),
]

MEGABYTE = 1_000_000
ROLES = ("consumer", "producer")


@pytest.mark.parametrize("role", ROLES)
def test_an_image_has_185_megabytes_at_most(images: dict[str, str], role: str) -> None:
    assert look(images[role])["Size"] <= 185 * MEGABYTE


def test_the_two_images_share_all_their_layers_but_the_folder_of_the_outbox(
    images: dict[str, str],
) -> None:
    consumer, producer = (look(images[role])["RootFS"]["Layers"] for role in ROLES)

    assert consumer == producer[:-1]


def test_the_folder_of_the_outbox_is_the_producers_alone(images: dict[str, str]) -> None:
    show = ("stat", "--format=%u %g %a", "/var/lib/tidings")

    assert within(images["producer"], *show).out == "10001 10001 700\n"
    assert within(images["consumer"], *show).code == 1


def test_the_user_of_the_producer_owns_nothing_else(images: dict[str, str]) -> None:
    said = within(images["producer"], "find", "/venv", "/app", "/var", "-xdev", "-user", "10001")

    assert said.out == "/var/lib/tidings\n"


@pytest.mark.parametrize("role", ROLES)
def test_an_image_says_how_it_is_run(images: dict[str, str], role: str) -> None:
    config = look(images[role])["Config"]

    assert config["Entrypoint"] == ["tidings", role]
    assert config["User"] == "10001:10001"
    assert config["WorkingDir"] == "/app"
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert config["Healthcheck"]["Test"] == ["CMD", "tidings", "healthcheck"]


@pytest.mark.parametrize("role", ROLES)
def test_an_image_says_what_it_is(images: dict[str, str], role: str) -> None:
    labels = look(images[role])["Config"]["Labels"]
    prefix = "org.opencontainers.image."

    said = {key.removeprefix(prefix): value for key, value in labels.items()}

    assert said.pop("description")
    assert said == {
        "title": f"tidings-{role}",
        "licenses": "Apache-2.0",
        "version": "1.2.3",
        "revision": "abc123",
        "base.name": "docker.io/library/python:3.13-slim",
    }


def test_the_command_in_the_image_is_the_one_of_this_checkout(images: dict[str, str]) -> None:
    said = within(images["consumer"], "tidings", "--version")

    assert (said.code, said.out) == (0, f"tidings {VERSION}\n")


def test_no_installer_and_no_compiler_is_in_the_image(images: dict[str, str]) -> None:
    script = """
import importlib.util, json, shutil
tools = ("pip", "pip3", "easy_install", "uv", "gcc", "cc", "g++", "clang", "ld", "strip", "make")
modules = ("pip", "ensurepip", "setuptools", "pytest")
print(json.dumps([*filter(shutil.which, tools), *filter(importlib.util.find_spec, modules)]))
"""
    for python in ("/venv/bin/python", "/usr/local/bin/python"):
        said = within(images["consumer"], python, "-c", script)

        assert json.loads(said.out) == []


def test_shared_objects_are_stripped_and_uvloop_and_the_others_load(images: dict[str, str]) -> None:
    script = """
from pathlib import Path
import uvloop, orjson, pydantic_core, yarl, multidict, propcache
for library in Path("/venv").rglob("*.so"):
    assert b".symtab" not in library.read_bytes()[-65536:], library
uvloop.run(__import__("asyncio").sleep(0))
"""
    said = within(images["consumer"], "python", "-c", script)

    assert (said.code, said.err) == (0, "")


def test_a_traceback_on_a_terminal_is_still_coloured_without_the_other_lexers(
    images: dict[str, str],
) -> None:
    script = """
from common.logs import configure, get_logger
configure(level="info", format_="console", service="consumer")
try:
    1 / 0
except ZeroDivisionError:
    get_logger().exception("failed")
"""
    said = within(images["consumer"], "python", "-c", script)

    assert said.code == 0
    assert "ZeroDivisionError" in said.out


@pytest.mark.parametrize("role", ROLES)
def test_a_start_compiles_nothing(images: dict[str, str], role: str) -> None:
    """As root on a writable root, where Python would write the bytecode that it misses."""
    name = images[role].replace(":", "-")
    started = run("docker", "run", "--name", name, "--user", "0", images[role])
    try:
        assert started.code == 78  # no AMQP_URI: everything was imported before that is noticed
        assert [line for line in docker("diff", name).splitlines() if ".pyc" in line] == []
    finally:
        docker("rm", "--force", name)


def test_nothing_of_ours_belongs_to_the_user_that_runs_it(images: dict[str, str]) -> None:
    said = within(images["consumer"], "find", "/venv", "/app", "-not", "-user", "0", "-print")

    assert (said.code, said.out) == (0, "")
