"""The file of an outbox: a SQLite database, one transaction for all that came together.

Durable: write-ahead log with `synchronous=FULL`, so that a commit outlives a power cut as far as
the disk keeps what it was told to. Bounded: `max_page_count` is a quota below the size of the disk;
at the quota nothing can be added, and what is confirmed can still be removed, which is not so on a
disk that is full (SQLite cannot even delete then). One process per file: a lock beside it.

Blocking; all calls are made from one thread. `opening.py` opens it.
"""

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from producer.outbox.marks import Mark
from producer.outbox.rows import COLUMNS, Row

PAGE_BYTES = 4096


class Stored(NamedTuple):
    """A row of `events`."""

    number: int
    accepted_at: float
    row: Row


class Refusal(NamedTuple):
    """An event that is set aside: it leaves `events` in the transaction that keeps it apart."""

    event: Stored
    reason: str
    refused_at: float


class NoRoom(Exception):
    """The quota is reached, or the disk is full: nothing of the transaction was written."""


class NotWritten(Exception):
    """The file cannot be written or read, for the reason given."""


@dataclass(slots=True)
class Batch:
    """What one transaction does, in the order of the fields."""

    confirmed: list[int] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    accepted: list[Stored] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.confirmed or self.refusals or self.accepted or self.marks)


class Contents(NamedTuple):
    """What a file holds when it is opened."""

    waiting: int
    last_number: int
    oldest: float | None
    refused: int
    marks: dict[str, str]


class OutboxFile:
    """An open file, which nobody else may have open as an outbox."""

    def __init__(self, connection: sqlite3.Connection, lock: int) -> None:
        self._sqlite = connection
        self._lock = lock

    def contents(self) -> Contents:
        """Count what is there."""
        one = self._sqlite.execute
        waiting, last = one("SELECT count(*), coalesce(max(number), 0) FROM events").fetchone()
        oldest = one("SELECT accepted_at FROM events ORDER BY number LIMIT 1").fetchone()
        refused, last_refused = one(
            "SELECT count(*), coalesce(max(number), 0) FROM refused"
        ).fetchone()
        return Contents(
            waiting=waiting,
            last_number=max(last, last_refused),
            oldest=oldest[0] if oldest else None,
            refused=refused,
            marks=dict(one("SELECT name, value FROM marks")),
        )

    @property
    def size_bytes(self) -> int:
        """Bytes of the pages that are in use."""
        pages: int = self._sqlite.execute("PRAGMA page_count").fetchone()[0]
        free: int = self._sqlite.execute("PRAGMA freelist_count").fetchone()[0]
        return (pages - free) * PAGE_BYTES

    def commit(self, batch: Batch) -> int:
        """Write all of the batch or nothing; return the bytes in use. Raises NoRoom, NotWritten."""
        execute, many = self._sqlite.execute, self._sqlite.executemany
        try:
            execute("BEGIN IMMEDIATE")
            gone = [*batch.confirmed, *(one.event.number for one in batch.refusals)]
            many("DELETE FROM events WHERE number BETWEEN ? AND ?", _runs(gone))
            many(
                f"INSERT INTO refused (number, refused_at, reason, accepted_at, {COLUMNS}) "  # noqa: S608 - a constant
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, refused_at, reason, accepted_at, *row)
                    for (number, accepted_at, row), reason, refused_at in batch.refusals
                ],
            )
            many(
                f"INSERT INTO events (number, accepted_at, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
                [(number, accepted_at, *row) for number, accepted_at, row in batch.accepted],
            )
            many("INSERT OR REPLACE INTO marks VALUES (?, ?)", batch.marks)
            execute("COMMIT")
            size = self.size_bytes
        except sqlite3.Error as error:
            self._roll_back()
            raise _explained(error) from None
        return size

    def count_refused(self) -> int:
        """Count what is set aside. Raises NotWritten."""
        try:
            count: int = self._sqlite.execute("SELECT count(*) FROM refused").fetchone()[0]
        except sqlite3.Error as error:
            raise _explained(error) from None
        return count

    def load(self, after: int, most: int, most_bytes: int) -> list[Stored]:
        """Return the oldest events with numbers over `after`. Raises NotWritten."""
        found: list[Stored] = []
        size = 0
        try:
            cursor = self._sqlite.execute(
                f"SELECT number, accepted_at, {COLUMNS} FROM events "  # noqa: S608 - a constant
                "WHERE number > ? ORDER BY number LIMIT ?",
                (after, most),
            )
            with_body = (Stored(number, at, (*row,)) for number, at, *row in cursor)
            for one in with_body:
                found.append(one)
                size += len(one.row[3])
                if size >= most_bytes:
                    break
            cursor.close()
        except sqlite3.Error as error:
            raise _explained(error) from None
        return found

    def take_back(self, first: int, most: int, now: float) -> int:
        """Let what a person wants tried again be events again, from number `first` on.

        Returns how many. Raises NoRoom or NotWritten.
        """
        execute = self._sqlite.execute
        count = 0
        try:
            execute("BEGIN IMMEDIATE")  # before looking: a person may drop them at this moment
            chosen = execute(
                "SELECT number FROM refused WHERE again = 1 ORDER BY number LIMIT ?", (most,)
            ).fetchall()
            for (number,) in chosen:
                execute(
                    f"INSERT INTO events (number, accepted_at, {COLUMNS}) "  # noqa: S608 - a constant
                    f"SELECT ?, ?, {COLUMNS} FROM refused WHERE number = ?",
                    (first + count, now, number),
                )
                execute("DELETE FROM refused WHERE number = ?", (number,))
                count += 1
            execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _explained(error) from None
        return count

    def close(self) -> None:
        """Close the file, and let others have it."""
        self._sqlite.close()
        os.close(self._lock)

    def _roll_back(self) -> None:
        if self._sqlite.in_transaction:
            self._sqlite.execute("ROLLBACK")


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Join numbers that follow each other: (first, last) of each run."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _explained(error: sqlite3.Error) -> Exception:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return NoRoom(str(error))
    return NotWritten(str(error))
