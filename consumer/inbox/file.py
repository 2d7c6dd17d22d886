"""The file of an inbox: a SQLite database that several consumers of one host may share.

Durable: write-ahead log with `synchronous=FULL`. Writers wait for each other at `BEGIN IMMEDIATE`;
readers wait for nobody. A row says the last that was heard of an event. Blocking; each connection
is used by one thread at a time. `opening.py` opens it.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from common.sqlite_file import PAGE_BYTES
from consumer.inbox.claim import Finished, Key
from consumer.transaction import OUR_TABLE

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {OUR_TABLE} (
  group_name TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,
  hop INTEGER NOT NULL, content BLOB NOT NULL, done INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (group_name, source, id)
) STRICT, WITHOUT ROWID;
"""
SPARE_BYTES = 256 * 1024
"""With less room than this a file is full."""

FIND = "SELECT hop, content, done FROM seen WHERE (group_name, source, id) = (?, ?, ?)"
# Where two processes have run an event at once, both have: the more that is known, the better. An
# event with the same id and other content that was run at once is not undone by telling so now.
WRITE = """
INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  hop = max(hop, excluded.hop), done = max(done, excluded.done), at = max(at, excluded.at)
WHERE content = excluded.content
"""
_WALK = """
SELECT source, id, at FROM seen WHERE group_name = ? AND (source, id) > (?, ?)
ORDER BY source, id LIMIT ?
"""
_REMOVE = "DELETE FROM seen WHERE (group_name, source, id) = (?, ?, ?) AND at < ?"


class Unusable(Exception):
    """The file cannot be read or written now, for the reason given."""


class NoRoom(Unusable):
    """The quota is reached, or the disk is full: nothing of the transaction was written."""


class Row(NamedTuple):
    """What is written of an event that is finished."""

    key: Key
    hop: int
    content: bytes
    done: bool
    at: int
    """Seconds since the epoch."""

    def values(self, group: str) -> tuple[str | int | bytes, ...]:
        """Return the columns."""
        return (group, *self.key, self.hop, self.content, int(self.done), self.at)


class Walked(NamedTuple):
    """A step of a walk through all events of the group."""

    old: list[Key]
    last: Key | None
    """Where the next step begins; None at the end."""


@dataclass(frozen=True, slots=True)
class Place:
    """The file that was opened, and whose events are meant."""

    path: Path
    device: int
    inode: int
    group: str

    @classmethod
    def of(cls, path: Path, group: str) -> "Place":
        """Look where it is now."""
        found = path.stat()
        return cls(path, found.st_dev, found.st_ino, group)

    def check(self) -> None:
        """Raise Unusable when the file is gone: SQLite would write on into one without a name."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - each reading and writing asks it
        except OSError as error:
            raise Unusable(
                f"{self.path}: {error.strerror}; put it back, or restart to begin with an empty one"
            ) from None
        if (found.st_dev, found.st_ino) != (self.device, self.inode):
            raise Unusable(f"{self.path} is not the file that was opened; restart to use it")

    def explained(self, error: sqlite3.Error) -> Unusable:
        """Say what an error means for who looks after the file."""
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # without its finer part
        if code == sqlite3.SQLITE_FULL:
            return NoRoom(f"{self.path} is full; raise TIDINGS_INBOX_BYTES, or look at its disk")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Unusable(f"{self.path} is locked: another process writes to it")
        return Unusable(f"{self.path}: {error}")


class Reader:
    """A connection that reads."""

    def __init__(self, connection: sqlite3.Connection, place: Place) -> None:
        self._sqlite = connection
        self._place = place

    def find(self, keys: Sequence[Key]) -> list[Finished[bytes] | None]:
        """Return what is known of each of the events. Raises Unusable."""
        self._place.check()
        execute, group = self._sqlite.execute, self._place.group
        found: list[Finished[bytes] | None] = []
        try:
            execute("BEGIN")  # one lock for all
            for key in keys:
                row = execute(FIND, (group, *key)).fetchone()
                found.append(None if row is None else Finished(row[0], row[1], bool(row[2])))
            execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(self._sqlite)
            raise self._place.explained(error) from None
        return found

    def walk(self, after: Key, before: float, most: int) -> Walked:
        """Look at the next events of the group for those from `before`. Raises Unusable."""
        self._place.check()
        try:
            rows = self._sqlite.execute(_WALK, (self._place.group, *after, most)).fetchall()
        except sqlite3.Error as error:
            raise self._place.explained(error) from None
        old = [(source, identity) for source, identity, at in rows if at < before]
        last = (rows[-1][0], rows[-1][1]) if len(rows) == most else None
        return Walked(old, last)

    def close(self) -> None:
        """Close the connection."""
        self._sqlite.close()


class Writer:
    """A connection that writes, in a transaction for each call."""

    def __init__(self, connection: sqlite3.Connection, place: Place) -> None:
        self._sqlite = connection
        self._place = place

    def write(self, rows: Sequence[Row]) -> list[None]:
        """Write all of the rows or nothing; without any, see if one could. Raises Unusable."""
        group = self._place.group

        def work() -> None:
            if rows:
                self._sqlite.executemany(WRITE, [row.values(group) for row in rows])
            elif not has_room(self._sqlite, self._place.path):
                raise NoRoom(f"{self._place.path} is full; raise TIDINGS_INBOX_BYTES")

        self._in_transaction(work)
        return [None] * len(rows)

    def remove(self, keys: Sequence[Key], before: float) -> None:
        """Forget those of the events that are still from `before`. Raises Unusable."""
        values = [(self._place.group, *key, before) for key in keys]
        self._in_transaction(lambda: self._sqlite.executemany(_REMOVE, values))

    def close(self) -> None:
        """Close the connection."""
        self._sqlite.close()

    def _in_transaction(self, work: Callable[[], object]) -> None:
        self._place.check()
        try:
            self._sqlite.execute("BEGIN IMMEDIATE")
            work()
            self._sqlite.execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(self._sqlite)
            raise self._place.explained(error) from None
        except BaseException:
            roll_back(self._sqlite)
            raise


def has_room(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether something can be added."""
    pages, most, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "max_page_count", "freelist_count")
    )
    room: int = (most - pages + free) * PAGE_BYTES
    return room >= SPARE_BYTES and shutil.disk_usage(path.parent).free >= SPARE_BYTES


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo what has begun, if something has."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
