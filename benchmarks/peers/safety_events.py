"""What the handlers of `make safety` do, the same for all contestants. Python's own library only.

They tell what they do in a file, whose lines are there even when the process dies right after.
"""

import asyncio
import os
import resource
import time
from collections.abc import Iterator

from benchmarks.peers.measuring import MARKER, identity

TYPE = "safety.known"
OTHER = "safety.other"
"""A type that nobody handles; as long as TYPE, because it replaces it in bytes that were sent."""
NEIGHBOURS = tuple(identity(number) for number in range(1, 7))
"""Innocent events: three wait before the bad one, three after it."""
BAD = identity(13)
BAD_SECONDS = 0.1
NEIGHBOUR_SECONDS = 0.2
"""Longer than the bad event's, so that neighbours run while a process dies."""
KILLED_WITHIN_SECONDS = 60.0
"""How long the handler works that is killed meanwhile."""


class Failing(Exception):
    """What the handler raises."""


def data(name: str = MARKER) -> dict[str, str]:
    """Return what an event carries."""
    return {"id": name, "text": "an order"}


def what() -> str:
    """Return which experiment this process is in."""
    return os.environ.get("SAFETY_WHAT", "")


def no_core_dump() -> None:
    """Let this process leave no file when it aborts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def handle(name: str) -> None:
    """Handle an event: for a handler that is a plain function."""
    for seconds in _steps(name):
        time.sleep(seconds)


async def handle_async(name: str) -> None:
    """Handle an event: for a handler that is a coroutine function."""
    for seconds in _steps(name):
        await asyncio.sleep(seconds)


def _steps(name: str) -> Iterator[float]:
    """Do what is to be done with the event; yields how long to work."""
    _note("began", name)
    if name != BAD:
        yield 0.0 if name == MARKER else NEIGHBOUR_SECONDS
    elif what() == "raises":
        raise Failing("the bank did not answer")
    elif what() == "crash":
        yield BAD_SECONDS
        os.abort()
    elif what() == "kill" and os.environ.get("SAFETY_START") == "1":
        yield KILLED_WITHIN_SECONDS
    _note("handled", name)


def _note(word: str, name: str) -> None:
    """Append a line to the journal, in one write: several processes do."""
    journal = os.open(os.environ["SAFETY_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(journal, f"{word} {name}\n".encode())
    finally:
        os.close(journal)
