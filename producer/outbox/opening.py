"""Open the file of an outbox, or say in one line why not; then nothing has been touched."""

import errno
import fcntl
import os
import sqlite3
from pathlib import Path

from common import sqlite_file
from common.errors import ConfigError
from common.sqlite_file import FileKind, connected, prepare
from producer.outbox.file import OutboxFile
from producer.outbox.rows import COLUMNS

BUSY_SECONDS = 5.0
"""How long to wait for a person's command that has the file."""

_SCHEMA = f"""
CREATE TABLE events (number INTEGER PRIMARY KEY, accepted_at REAL NOT NULL, {COLUMNS}) STRICT;
CREATE TABLE refused (
  number INTEGER PRIMARY KEY, refused_at REAL NOT NULL, reason TEXT NOT NULL,
  again INTEGER NOT NULL DEFAULT 0, accepted_at REAL NOT NULL, {COLUMNS}
) STRICT;
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
""".replace(COLUMNS, "exchange TEXT, routing_key TEXT, properties BLOB, body BLOB")

OUTBOX = FileKind(
    variable="TIDINGS_OUTBOX",
    noun="outbox",
    application=0x54494449,  # TIDI
    version=1,
    schema=_SCHEMA,
)


def open_file(path: Path, *, quota: int) -> OutboxFile:
    """Open the file, or make it. `quota`: bytes it may have, at most 80 % of the free disk.

    Raises ConfigError, and has touched nothing, when it is in use, damaged, or not ours.
    """
    refuse_foreign(path)
    lock = _locked(path)
    try:
        connection = connected(path, timeout=BUSY_SECONDS)
        try:
            prepare(connection, path, OUTBOX, quota=quota)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        os.close(lock)
        raise ConfigError(f"TIDINGS_OUTBOX: {path} cannot be used: {error}") from None
    except BaseException:
        os.close(lock)
        raise
    return OutboxFile(connection, lock)


def refuse_foreign(path: Path) -> None:
    """Look at the first bytes of a file, before anything could change it."""
    sqlite_file.refuse_foreign(path, OUTBOX)


def refuse_unfit(connection: sqlite3.Connection, path: Path) -> bool:
    """Look through a file whose first bytes are well; False when it is empty yet."""
    return sqlite_file.refuse_unfit(connection, path, OUTBOX)


def _locked(path: Path) -> int:
    """Lock a file beside it: locks on the database itself are SQLite's own."""
    beside = path.with_name(path.name + ".lock")
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        remedy = (
            "make the folder" if error.errno == errno.ENOENT else "name one that can be written"
        )
        raise ConfigError(f"TIDINGS_OUTBOX: {beside}: {error.strerror}; {remedy}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
        os.close(lock)
        raise ConfigError(
            f"TIDINGS_OUTBOX: {path} is in use by process {holder or '?'}; a file serves one "
            "producer, give this one a file of its own"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
