"""The producer as a process, as `tidings producer` runs it: signals, exit codes, user modules."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from common.errors import (
    EXIT_CONFIG,
    EXIT_OK,
)
from support.broker import Broker
from support.producing import NOBODY, bind, read

ROOT = Path(__file__).parents[2]


def with_wrong_password(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}").geturl()


@asynccontextmanager
async def process(
    uri: str, *arguments: str, folder: Path, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m producer` as a user does, in a folder of theirs."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import sys; sys.path[0] = {str(ROOT)!r}; "
        f"import runpy; sys.argv = ['producer', *{arguments!r}]; "
        "runpy.run_module('producer', run_name='__main__')",
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "AMQP_URI": uri,
            "TIDINGS_PROBES_PORT": "0",
            "TIDINGS_LOG_FORMAT": "json",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def test_sigterm_ends_the_process_in_good_order(broker: Broker, tmp_path: Path) -> None:
    async with process(broker.uri, folder=tmp_path) as running:
        assert running.stdout is not None
        hello = json.loads(await running.stdout.readline())
        connected = json.loads(await running.stdout.readline())
        running.send_signal(signal.SIGTERM)
        output, errors = await running.communicate()

    assert (hello["event"], hello["outbox"]) == ("producer_started", "memory (10000 events)")
    assert hello["sources"][0].startswith("ticker (every 1s), ")
    assert broker.uri not in json.dumps(hello)
    assert connected["event"] == "connected"
    assert json.loads(output.splitlines()[-1])["event"] == "producer_stopped"
    assert errors == b""
    assert running.returncode == EXIT_OK


async def test_a_source_of_the_users_own_folder_runs_in_the_process(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from common.event import Event\n"
        "from producer.source import source\n"
        "@source(every='50ms')\n"
        "def hello():\n"
        "    return Event('hello', {'from': 'mine'})\n"
    )
    await bind(broker.uri, "hellos", "#")

    async with process(broker.uri, "mine", folder=tmp_path):
        first, *_ = await read(broker.uri, "hellos", 1)

    assert (first.type, first.data) == ("hello", {"from": "mine"})


@pytest.mark.parametrize(
    ("arguments", "environment", "line"),
    [
        (["nowhere"], {}, "tidings: no module named 'nowhere'"),
        ([], {"TIDINGS_OUTBOX": "postgres"}, "tidings: TIDINGS_OUTBOX: 'postgres' is no"),
        ([], {"TIDINGS_SORCE": "x"}, "tidings: TIDINGS_SORCE is no setting of Tidings; did you"),
        ([], {"AMQP_URI": ""}, "tidings: AMQP_URI is not set"),
    ],
)
async def test_a_wrong_start_is_one_line_and_exit_code_78(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], line: str
) -> None:
    uri = environment.pop("AMQP_URI", NOBODY)
    async with process(uri, *arguments, folder=tmp_path, **environment) as running:
        output, errors = await running.communicate()

    assert errors.decode().startswith(line)
    assert len(errors.splitlines()) == 1
    assert output == b""
    assert running.returncode == EXIT_CONFIG


@pytest.mark.fault("P10")
async def test_a_virtual_host_that_is_not_there_is_one_line_and_exit_code_78(
    broker: Broker, tmp_path: Path
) -> None:
    uri = broker.uri.replace(broker.vhost, "nowhere")
    async with process(uri, folder=tmp_path) as running:
        _, errors = await running.communicate()

    lines = [line for line in errors.decode().splitlines() if line.startswith("tidings: ")]
    assert len(lines) == 1
    assert "virtual host" in lines[0]
    assert running.returncode == EXIT_CONFIG


@pytest.mark.fault("P10")
async def test_a_wrong_password_is_one_line_and_exit_code_78(
    broker: Broker, tmp_path: Path
) -> None:
    wrong = with_wrong_password(broker.uri)
    async with process(wrong, folder=tmp_path) as running:
        _, errors = await running.communicate()

    lines = [line for line in errors.decode().splitlines() if line.startswith("tidings: ")]
    assert len(lines) == 1
    assert "refused the user or the password" in lines[0]
    assert running.returncode == EXIT_CONFIG
