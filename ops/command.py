"""The edge of an operating command: signals, exit codes, errors as one line, quiet libraries."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from common.logs import configure
from common.service import exit_code_of

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells write it."""

Stop = asyncio.Event


def run(work: Callable[[Stop], Awaitable[int]]) -> int:
    """Run `work(stop)` and return its exit code.

    The first Ctrl-C (or SIGTERM) sets `stop`: the work hands back what it holds and returns. A
    second one ends the process at once; what was in hand comes back when the connection is gone.
    """
    configure(level="warning", format_="console", service="tidings", stream=sys.stderr)

    def in_loop() -> int:
        with asyncio.Runner() as runner:
            return runner.run(_with_signals(work))

    return exit_code_of(in_loop)


async def _with_signals(work: Callable[[Stop], Awaitable[int]]) -> int:
    stop = Stop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        say("tidings: stopping; once more ends it at once")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    code = await work(stop)
    return EXIT_INTERRUPTED if stop.is_set() else code


def say(line: str) -> None:
    """Print a line for the person at the terminal; standard output is for the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
