"""A program that publishes through an outbox on disk, and kills itself where CRASH_AT says.

    AMQP_URI=… CRASH_AT=O3 python crashing.py FILE FIRST COUNT TYPE…

Says the id of each event whose `publish()` has returned, "all" after the last of them, and
"drained" when nothing waits any more. The product knows nothing of CRASH_AT: its methods are
wrapped here, before it starts. Where the disk is needed, each event is written at once, and nothing
is sent before all are on disk.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from common.broker import Connection
from common.message import Confirmed
from producer.facade import Producer
from producer.outbox import home, sqlite
from producer.outbox.entry import Entry
from producer.outbox.file import Batch, NotWritten, OutboxFile
from producer.outbox.sqlite import SqliteOutbox
from producer.publisher import Publisher

TOGETHER = int(os.environ.get("CRASH_TOGETHER", "20"))
"""Callers at a time."""
COMMITS_BEFORE = 3
"""Commits of accepted events that go well before the one that does not."""
WINDOW = 20
MOST_UNREMOVED = 40
HEALED = "healed"
"""While this file is not there, nothing can be removed from the outbox (O6)."""

_all_said = asyncio.Event()


def say(word: str) -> None:
    """Say it at once: there may be no other time."""
    os.write(1, f"{word}\n".encode())


def die() -> NoReturn:
    """Leave no time for anything."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


def wrap(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    """Let `wrapper(original, self, ...)` be the method."""
    original = getattr(owner, name)

    def method(self: object, *args: Any, **kwargs: Any) -> Any:
        return wrapper(original, self, *args, **kwargs)

    setattr(owner, name, method)


class DiesAtCommit:
    """A SQLite connection that gets as far as the last word of a transaction, of the `last` one."""

    def __init__(self, real: Any, last: int = 1) -> None:
        self._real = real
        self._left = last

    def execute(self, statement: str, *args: Any) -> Any:
        """Die when all is written and nothing committed."""
        if statement == "COMMIT":
            self._left -= 1
            if self._left == 0:
                die()
        return self._real.execute(statement, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


# The points.


def before_commit() -> None:
    wrap(OutboxFile, "commit", _after_some_commits(lambda _: die()))


def during_commit() -> None:
    def end(file: Any) -> None:
        file._sqlite = DiesAtCommit(file._sqlite)

    wrap(OutboxFile, "commit", _after_some_commits(end))


def during_commit_number(number: int) -> None:
    def init(original: Any, file: OutboxFile, connection: Any, *args: Any) -> None:
        original(file, DiesAtCommit(connection, number), *args)

    wrap(OutboxFile, "__init__", init)


def before_publish() -> None:
    hold_until_all_are_on_disk()
    wrap(Connection, "send", lambda *_, **__: die())


def after_write() -> None:
    def send(original: Any, connection: Connection, *args: Any, **kwargs: Any) -> None:
        original(connection, *args, **kwargs)
        # The lane writes at the end of this turn, and was first to ask for it.
        asyncio.get_running_loop().call_soon(die)

    hold_until_all_are_on_disk()
    wrap(Connection, "send", send)


def at_confirm() -> None:
    def answered(original: Any, publisher: Publisher, *args: Any) -> None:
        if isinstance(args[-1], Confirmed):
            die()
        original(publisher, *args)

    hold_until_all_are_on_disk()
    wrap(Publisher, "_answered", answered)


def before_removal() -> None:
    def commit(original: Any, file: OutboxFile, batch: Batch) -> int:
        if batch.confirmed:
            die()
        return int(original(file, batch))

    hold_until_all_are_on_disk()
    wrap(OutboxFile, "commit", commit)


def no_removal() -> None:
    def commit(original: Any, file: OutboxFile, batch: Batch) -> int:
        if batch.confirmed and not Path(HEALED).exists():
            raise NotWritten("disk I/O error")
        return int(original(file, batch))

    hold_until_all_are_on_disk()
    wrap(OutboxFile, "commit", commit)
    sqlite.MOST_UNREMOVED = MOST_UNREMOVED
    wrap(Publisher, "__init__", partial(_with, window=WINDOW))


def hold_until_all_are_on_disk() -> None:
    async def take(original: Any, outbox: SqliteOutbox, most: int) -> list[Entry]:
        await _all_said.wait()
        return list(await original(outbox, most))

    wrap(SqliteOutbox, "take", take)


POINTS: dict[str, Callable[[], None]] = {
    "O1": before_commit,
    "O2": during_commit,
    "O3": before_publish,
    "O4": after_write,
    "O4 confirmed": at_confirm,
    "O5": before_removal,
    "O6": no_removal,
    "O7": hold_until_all_are_on_disk,
}


def _with(original: Any, publisher: Publisher, *args: Any, window: int, **kwargs: Any) -> None:
    original(publisher, *args, **kwargs, window=window)


def _after_some_commits(then: Callable[[OutboxFile], None]) -> Callable[..., int]:
    commits = 0

    def commit(original: Any, file: OutboxFile, batch: Batch) -> int:
        nonlocal commits
        commits += bool(batch.accepted)
        if batch.accepted and commits > COMMITS_BEFORE:
            then(file)
        return int(original(file, batch))

    return commit


async def publish_all(file: str, first: int, count: int, types: list[str]) -> None:
    """Publish events with the ids e<number>, and stay until they are sent."""
    async with Producer(outbox=f"sqlite:///{file}") as producer:

        async def publish(number: int) -> None:
            type_ = types[number % len(types)]
            event = await producer.publish(type_, number, id=f"e{number}", timeout=100)
            say(event.id)

        for start in range(first, first + count, TOGETHER):
            numbers = range(start, min(start + TOGETHER, first + count))
            await asyncio.gather(*map(publish, numbers))
        say("all")
        _all_said.set()
        await _sent(producer)
        say("drained")


async def _sent(producer: Producer) -> None:
    """Wait until all is sent; say when it goes no further, as nothing can be removed."""
    relay = producer._relay
    assert relay is not None
    outbox = relay.outbox
    assert isinstance(outbox, SqliteOutbox)
    drained = asyncio.create_task(outbox.drained())
    said = False
    while not drained.done():
        await asyncio.wait((drained,), timeout=0.02)
        held_up = outbox._journal.unremoved > sqlite.MOST_UNREMOVED
        if held_up and not relay._publisher._under_way and not said:
            said = True
            say("stopped")


if __name__ == "__main__":
    if point := os.environ.get("CRASH_AT"):
        vars(home)["SqliteOutbox"] = partial(SqliteOutbox, patience=0.0)
        POINTS[point]()
    asyncio.run(publish_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
