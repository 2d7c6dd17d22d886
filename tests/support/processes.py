"""Run a service as its own process, with a module of the user's in an empty folder."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from support.waiting import until


class Service:
    """A running `python -m consumer` or `producer`; its output goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def output(self) -> str:
        """Everything it has said so far."""
        return self._output.read_text(encoding="utf-8")

    async def says(self, text: str, *, within: float = 15.0) -> None:
        """Wait until it has said this."""
        await until(lambda: text in self.output, within=within, what=f"it says {text!r}")

    async def metric(self, sample: str) -> float:
        """Return a sample as a scrape shows it; 0 when it is not there."""
        found = re.search(r'"probes_port": ?(\d+)', self.output)
        assert found, "it has not said its port"
        text = await asyncio.to_thread(_read, f"http://127.0.0.1:{found[1]}/metrics")
        return sample_in(text, sample)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def exit_code(self, *, within: float = 15.0) -> int:
        """Wait for its end."""
        return await asyncio.wait_for(self._process.wait(), within)

    def kill(self) -> None:
        """As `kill -9` does."""
        with suppress(ProcessLookupError):
            self._process.kill()


@asynccontextmanager
async def service(
    room: str, *modules: str, folder: Path, name: str = "service", **settings: object
) -> AsyncIterator[Service]:
    """Start a service in `folder`; settings are environment variables, without their prefix."""
    environment = _environment(PROBES_PORT=0, LOG_FORMAT="json", **settings)
    output = folder / f"{name}.log"
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", room, *modules,
            cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    running = Service(process, output)
    try:
        yield running
    finally:
        running.kill()
        await process.wait()


def sample_in(text: str, sample: str) -> float:
    """Return a sample of an exposition; 0 when it is not there."""
    for line in text.splitlines():
        if line.startswith(f"{sample} "):
            return float(line.rpartition(" ")[2])
    return 0.0


def _read(url: str) -> str:
    with urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def _environment(**settings: object) -> dict[str, str]:
    ours = ("TIDINGS_", "AMQP_URI")
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(ours)},
        **{
            key if key.startswith("AMQP_URI") else f"TIDINGS_{key}": str(value)
            for key, value in settings.items()
        },
    }
