"""A stream that follows a file of lines: its events and its cursor are one transaction."""

import random
import signal
from pathlib import Path

import pytest

from common.errors import EXIT_OK
from support.broker import Broker
from support.copies import arrived_in
from support.crashes import cursor_in, waiting
from support.processes import service
from support.producing import NOBODY, bind
from support.waiting import until

LINES = 800
STOPS = 3
COMMITS = (6, 9, 12, 15)
TESTS = Path(__file__).parents[1]

FOLLOWS = """
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tidings import Event, SourceContext, source

@source(name="lines")
async def lines(context: SourceContext) -> AsyncIterator[Event]:
    with Path("lines.txt").open("rb") as file:
        file.seek(context.cursor or 0)
        while True:
            line = file.readline()
            if not line:
                await asyncio.sleep(0.01)
                continue
            context.cursor = file.tell()
            yield Event("line", line.decode().strip())
            await asyncio.sleep(0.001)  # so that it can be stopped in the midst
"""


DIES = f"""
import sys
sys.path.append({str(TESTS)!r})
from support.crashing import during_commit_number
during_commit_number(NUMBER)
"""


@pytest.mark.fault("O2")
async def test_a_stream_killed_during_commits_sends_each_line_under_one_id(
    broker: Broker, tmp_path: Path
) -> None:
    """At even and at odd ones: the cursor may not be committed before or after its event."""
    text = written(tmp_path)
    await bind(broker.uri, "lines", "line")

    for number in COMMITS:
        (tmp_path / "mine.py").write_text(DIES.replace("NUMBER", str(number)) + FOLLOWS)
        async with service(
            "producer", "mine", folder=tmp_path, AMQP_URI=NOBODY, DATA="."
        ) as running:
            assert await running.exit_code() == -signal.SIGKILL
    (tmp_path / "mine.py").write_text(FOLLOWS)
    await until_all_is_sent(broker, tmp_path)

    assert [line for line, _ in (await arrived_in(broker, "lines")).values()] == text


@pytest.mark.parametrize("up", [True, False], ids=["broker up", "no broker"])
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.fault("P13", "P14"), id="kill -9"),
        pytest.param(signal.SIGTERM, marks=pytest.mark.fault("P17"), id="SIGTERM"),
    ],
)
async def test_a_stream_stopped_three_times_sends_each_line_under_one_id(
    broker: Broker, tmp_path: Path, how: signal.Signals, *, up: bool
) -> None:
    """The ids are random, so a line that is made once more would have a second one."""
    (tmp_path / "mine.py").write_text(FOLLOWS)
    text = written(tmp_path)
    size = size_of(tmp_path)
    await bind(broker.uri, "lines", "line")
    dice = random.Random(7)

    for _ in range(STOPS):
        goal = cursor_in(tmp_path, "lines") + dice.randrange(size // 20, size // 5)
        async with service(
            *("producer", "mine"),
            folder=tmp_path,
            AMQP_URI=broker.uri if up else NOBODY,
            DATA=".",
            DRAIN_TIMEOUT="1s",
        ) as running:
            await until(lambda goal=goal: cursor_in(tmp_path, "lines") >= goal, what="it is there")  # type: ignore[misc] # a default binds it now
            running.signal(how)
            code = await running.exit_code()
            assert code == (EXIT_OK if how == signal.SIGTERM else -how)
    assert cursor_in(tmp_path, "lines") < size
    await until_all_is_sent(broker, tmp_path)

    arrived = await arrived_in(broker, "lines")
    assert sorted(line for line, _ in arrived.values()) == sorted(text)
    if not up:
        assert [line for line, _ in arrived.values()] == text


def written(folder: Path) -> list[str]:
    """Write the file of lines, and return them."""
    text = [f"{'x' * (number % 50)} line {number}".strip() for number in range(LINES)]
    (folder / "lines.txt").write_text("".join(f"{line}\n" for line in text))
    return text


def size_of(folder: Path) -> int:
    return (folder / "lines.txt").stat().st_size


async def until_all_is_sent(broker: Broker, folder: Path) -> None:
    """Let the stream come to the end of the file, and its events to the broker."""
    size = size_of(folder)
    async with service("producer", "mine", folder=folder, AMQP_URI=broker.uri, DATA="."):
        await until(lambda: cursor_in(folder, "lines") == size, what="it is at the end")
        await until(lambda: waiting(folder) == [], what="all are sent")
