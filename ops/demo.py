"""`make run`: a broker, one producer and two consumers, and what they say in readable lines."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from common.address import masked
from common.duration import seconds
from common.errors import EXIT_OK, ConfigError, TidingsError
from common.service import say_error
from ops.broker_handle import BrokerHandle
from ops.demo_lines import COUNTED, Lines, totals
from ops.local_broker import find_or_start_broker

GROUP = "tidings-demo"
MODULE = "examples.demo"
CONSUMERS = ("consumer-1", "consumer-2")
END_SECONDS = 6.0
"""How long the services may take to stop, before they are killed: Ctrl-C ends all within 10 s."""


class Demo:
    """The services as child processes, each in a session of its own: Ctrl-C reaches only us.

    `data`: a folder for the producer's outbox.
    """

    def __init__(self, uri: str, data: Path) -> None:
        self._uri = uri
        self._data = data
        self._lines = Lines(colours=sys.stdout.isatty())
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._exit_code = EXIT_OK
        self.counts: Counter[str] = Counter()
        self.ended = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._first_handled = asyncio.Event()

    async def run(self, stop: asyncio.Event, run_seconds: float | None) -> int:
        """Run until `stop`, `run_seconds` after the first handled event, or a service's own end."""
        async with asyncio.TaskGroup() as tasks:
            for name in CONSUMERS:
                await self._start(tasks, name, "consumer", MODULE)
            acting = [
                tasks.create_task(self._start_producer(tasks)),
                tasks.create_task(self._until(run_seconds)),
            ]
            waiting = [tasks.create_task(event.wait()) for event in (stop, self.ended)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in acting + waiting:
                task.cancel()
            await self._end()
        return self._exit_code

    async def _start_producer(self, tasks: asyncio.TaskGroup) -> None:
        """Start it when somebody listens: events that nobody is bound for would be kept apart."""
        await self._subscribed.wait()
        await self._start(tasks, "producer", "producer", TIDINGS_DATA=str(self._data))

    async def _start(
        self, tasks: asyncio.TaskGroup, name: str, *arguments: str, **settings: str
    ) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TIDINGS_", "AMQP_URI"))},
            "AMQP_URI": self._uri,
            "TIDINGS_GROUP": GROUP,
            "TIDINGS_LOG_FORMAT": "json",
            "TIDINGS_LOG_LEVEL": "debug",
            "TIDINGS_DRAIN_TIMEOUT": "3s",
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tidings",
            *arguments,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._processes[name] = process
        tasks.create_task(self._listen(name, process))

    async def _listen(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe, as asked for above
        async for raw in process.stdout:
            text = raw.decode(errors="replace").rstrip()
            with suppress(ValueError):
                said = json.loads(text)
                self._count(str(said.get("event")))
                shown = self._lines.line(name, said)
                if shown is not None:
                    print(shown, flush=True)
                continue
            print(f"          {name:<10}  {text}", flush=True)
        code = await process.wait()
        if code != EXIT_OK and not self.ended.is_set():
            print(f"{name} ended with exit code {code}", file=sys.stderr, flush=True)
            self._exit_code = code
        self.ended.set()

    def _count(self, event: str) -> None:
        if event in COUNTED:
            self.counts[COUNTED[event]] += 1
        if event == "event_handled":
            self._first_handled.set()
        if event == "subscribed":
            self._subscribed.set()

    async def _until(self, run_seconds: float | None) -> None:
        if run_seconds is None:
            return
        await self._first_handled.wait()
        await asyncio.sleep(run_seconds)
        self.ended.set()

    async def _end(self) -> None:
        """Stop all as Kubernetes would; kill what does not end in time."""
        self.ended.set()
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        waits = [asyncio.ensure_future(one.wait()) for one in self._processes.values()]
        _, late = await asyncio.wait(waits, timeout=END_SECONDS)
        if late:
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    process.kill()
            await asyncio.wait(late)


def banner(uri: str, broker: BrokerHandle | None) -> str:
    """Say what to look at."""
    where = masked(uri) if broker is None else broker.describe
    lines = [
        "",
        f"Tidings runs: one producer, two consumers, broker {where}.",
        "Look at:",
        "  published   each second the producer makes a tick, and the broker confirms it",
        "  delivered   one of the two consumers gets it: they share the load",
        "  handled     its handler (examples/demo.py) finished, and the event was acked",
        "  retried     of ten ticks, one fails at first, waits at the broker, and succeeds",
        "  dead        one is refused for good, and set aside with its reason",
        "  outbox      stop the broker for a minute: events wait on disk meanwhile, none is lost",
    ]
    if broker is not None:
        lines += [
            "Meanwhile, in another terminal:",
            f"  export AMQP_URI={uri} TIDINGS_GROUP={GROUP}",
            "  .venv/bin/tidings dead list",
            f"  the broker's own console: {broker.management_uri}",
        ]
    return "\n".join([*lines, "Ctrl-C stops everything.", ""])


@asynccontextmanager
async def _broker() -> AsyncIterator[tuple[str, BrokerHandle | None]]:
    """AMQP_URI where it is set; else a broker of our own, removed afterwards."""
    given = os.environ.get("AMQP_URI")
    if given:
        yield given, None
        return
    handle = await asyncio.to_thread(find_or_start_broker)
    try:
        yield handle.amqp_uri, handle
    finally:
        await asyncio.to_thread(handle.remove)


def _run_seconds() -> float | None:
    text = os.environ.get("RUN_SECONDS")
    if not text:
        return None
    try:
        return seconds(text)
    except ValueError as error:
        raise ConfigError(f"RUN_SECONDS: {error}") from None


async def _main() -> int:
    run_seconds = _run_seconds()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with _broker() as (uri, broker):
        if stop.is_set():
            return EXIT_OK
        print(banner(uri, broker), flush=True)
        with tempfile.TemporaryDirectory(prefix="tidings-demo-") as data:
            demo = Demo(uri, Path(data))
            code = await demo.run(stop, run_seconds)
    print(totals(demo.counts), flush=True)
    return code


def main() -> int:
    """Run the demo; return the exit code."""
    try:
        return asyncio.run(_main())
    except TidingsError as error:
        say_error(error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
