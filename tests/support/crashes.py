"""Run the program that kills itself (`crashing.py`), and look at what is left."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from common.errors import ConfigError
from producer.outbox.visiting import visit
from support.waiting import until

PROGRAM = Path(__file__).with_name("crashing.py")
KILLED = -signal.SIGKILL
OUTBOX = "outbox.db"


class Program:
    """It runs, or it ran; `said` is what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def said(self) -> list[str]:
        """Its whole lines."""
        return self._output.read_text().split()

    @property
    def returned(self) -> set[str]:
        """The ids of events whose `publish()` has returned."""
        return {word for word in self.said if word.startswith("e")}

    async def says(self, word: str, *, within: float = 30.0) -> None:
        """Wait until it has said this."""
        await until(
            lambda: word in self.said or self._process.returncode is not None,
            within=within,
            what=f"it says {word}",
        )
        assert word in self.said, f"it ended with {self._process.returncode}"

    async def ends(self, *, within: float = 30.0) -> int:
        """Wait for its end, and return how it ended."""
        return await asyncio.wait_for(self._process.wait(), within)

    async def kill(self) -> None:
        """As `kill -9` does."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def program(
    uri: str,
    folder: Path,
    *types: str,
    at: str = "",
    first: int = 0,
    count: int = 0,
    together: int = 20,
) -> AsyncIterator[Program]:
    """Run it with an outbox in this folder; at the end of the block it is killed."""
    output = _next_output(folder)
    environment = {
        "PATH": os.environ["PATH"],
        "AMQP_URI": uri,
        "CRASH_AT": at,
        "CRASH_TOGETHER": str(together),
    }
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM), OUTBOX, str(first), str(count), *types),
            cwd=folder,
            env=environment,
            stdout=file,
        )
    running = Program(process, output)
    try:
        yield running
    finally:
        await running.kill()


def waiting(folder: Path) -> list[str]:
    """Return the ids of what waits in the file, in order."""
    with visit(folder / OUTBOX) as file:
        return [one.id for page in file.waiting() for one in page]


def cursor_in(folder: Path, source: str) -> int:
    """Return the cursor of a stream, a number, as the file has it; 0 before there is one."""
    if not (folder / OUTBOX).exists():
        return 0
    try:
        with visit(folder / OUTBOX) as file:
            marks = dict(file.figures().marks)
    except ConfigError:  # its process is just making it
        return 0
    return int(marks.get(f"cursor {source}", 0))


def set_aside(folder: Path) -> dict[str, str]:
    """Return the reasons of what is set aside, by id."""
    with visit(folder / OUTBOX) as file:
        return {one.id: one.reason for page in file.refused() for one in page}


def _next_output(folder: Path) -> Path:
    return folder / f"said-{len(list(folder.glob('said-*')))}.txt"
