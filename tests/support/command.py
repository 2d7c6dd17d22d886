"""Run the command `tidings` as its own process, as a person does."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The lines of `--json`."""
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self, *, within: float = 60.0) -> Said:
        """Wait for its end."""
        out, err = await asyncio.wait_for(self.process.communicate(), within)
        code = self.process.returncode
        assert code is not None
        return Said(code, out.decode(), err.decode())


@asynccontextmanager
async def running(uri: str | None, *arguments: str, **settings: object) -> AsyncIterator[Command]:
    """Start `tidings ARGUMENTS`; settings are environment variables without their prefix."""
    environment = {
        **os.environ,
        **{f"TIDINGS_{name}": str(value) for name, value in settings.items()},
        **({} if uri is None else {"AMQP_URI": uri}),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidings", *arguments),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Command(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def tidings(uri: str | None, *arguments: str, **settings: object) -> Said:
    """Run `tidings ARGUMENTS` to its end."""
    async with running(uri, *arguments, **settings) as command:
        return await command.end()
