"""A SQLite inbox that runs, as the consumer has it, and what lies in its file."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from consumer.inbox.claim import Claim, Key
from consumer.inbox.opening import open_file
from consumer.inbox.sqlite import SqliteInbox
from consumer.transaction import Transaction

QUOTA = 64 * 1024 * 1024
GROUP = "shop"
BODY = b"{}"
WEEK = 7 * 86400.0
ROOT = Path(__file__).parents[2]


class Clock:
    """Wall time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def made(
    path: Path,
    *,
    group: str = GROUP,
    quota: int = QUOTA,
    keep: float = WEEK,
    clock: Callable[[], float] | None = None,
) -> SqliteInbox:
    """Return an inbox that is not running."""
    return SqliteInbox(open_file(path, group=group, quota=quota), keep=keep, clock=clock or Clock())


@asynccontextmanager
async def running(inbox: SqliteInbox) -> AsyncIterator[SqliteInbox]:
    """Keep it going; at the end it is closed in good order."""
    task = asyncio.create_task(inbox.run())
    try:
        yield inbox
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await inbox.close()
    if not task.cancelled():
        task.result()


@asynccontextmanager
async def opened(
    path: Path,
    *,
    group: str = GROUP,
    quota: int = QUOTA,
    keep: float = WEEK,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[SqliteInbox]:
    """Open an inbox and keep it going."""
    inbox = made(path, group=group, quota=quota, keep=keep, clock=clock)
    async with running(inbox):
        yield inbox


async def taken(inbox: SqliteInbox, key: Key, hop: int = 0, body: bytes = BODY) -> None:
    """Take an event in hand."""
    async with asyncio.timeout(10):
        assert await inbox.claim(key, hop, body) is Claim.TAKEN


async def handled(inbox: SqliteInbox, key: Key, hop: int = 0, body: bytes = BODY) -> None:
    """Handle an event."""
    await taken(inbox, key, hop, body)
    await inbox.finish(key, done=True)


def rows(
    path: Path, query: str = "SELECT id, hop, done FROM seen ORDER BY id"
) -> list[tuple[Any, ...]]:
    """Return what another process sees in the file."""
    with sqlite3.connect(path) as database:
        found = database.execute(query).fetchall()
    database.close()
    return found


HOLDING = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[Callable[[], None]]:
    """Have another process hold the file's write lock, until the function is called."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process.stdin.close
        finally:
            process.kill()


EFFECTS = "SELECT id FROM effects ORDER BY id"


@asynccontextmanager
async def opened_with_effects(path: Path) -> AsyncIterator[SqliteInbox]:
    """Open an inbox beside which handlers have a table."""
    async with opened(path) as inbox:
        await taken(inbox, ("s", "first"))
        async with inbox.transaction(("s", "first")) as begun:
            begun.transaction.execute("CREATE TABLE effects (id TEXT PRIMARY KEY)")
            assert await begun.end(None) is None
        yield inbox


def effect(tx: Transaction, name: str = "7") -> None:
    """Do what a handler does."""
    tx.execute("INSERT INTO effects VALUES (?)", (name,))


def events(path: Path) -> list[str]:
    """Return the ids of events that are finished."""
    return [one[0] for one in rows(path) if one[0] != "first"]


def effects(path: Path) -> list[str]:
    """Return what handlers have done."""
    return [one[0] for one in rows(path, EFFECTS)]
