"""A SQLite outbox that runs, as the producer has it, and what lies in its file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.errors import BrokerUnavailable
from common.message import Message, Publishing
from producer.outbox.entry import Entry
from producer.outbox.opening import open_file
from producer.outbox.sqlite import SqliteOutbox

QUOTA = 64 * 1024 * 1024
NEVER = 3600.0
"""Patience: the broker answers before any disk is asked."""
ENDED = BrokerUnavailable("ended")


def publishing(number: int, size: int = 10) -> Publishing:
    """Return one whose routing key says its number."""
    return Publishing("events", f"t{number}", Message(b"x" * size, message_id=f"id-{number}"))


@asynccontextmanager
async def opened(
    path: Path, *, patience: float = 0.0, quota: int = QUOTA
) -> AsyncIterator[SqliteOutbox]:
    """Open an outbox and keep it going; at the end it is closed in good order."""
    outbox = SqliteOutbox(open_file(path, quota=quota), patience=patience)
    running = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        running.cancel()
        await asyncio.wait((running,))
        await outbox.close(ENDED)


def on_disk(path: Path) -> list[str]:
    """Return the routing keys of what waits in the file."""
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT routing_key FROM events ORDER BY number").fetchall()
    database.close()
    return [key for (key,) in found]


def keys(entries: list[Entry]) -> list[str]:
    """Return the routing keys of entries."""
    return [entry.publishing.routing_key for entry in entries]


async def taken(outbox: SqliteOutbox, count: int) -> list[Entry]:
    """Take so many entries."""
    found: list[Entry] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await outbox.take(count - len(found))
    return found
