"""Open the file of an outbox, or say in one line why not; then nothing has been touched."""

import errno
import fcntl
import os
import shutil
import sqlite3
from pathlib import Path

from common.errors import ConfigError
from producer.outbox.file import PAGE_BYTES, OutboxFile
from producer.outbox.rows import COLUMNS

APPLICATION = 0x54494449
"""`TIDI`: the application id in the header of our files."""
SCHEMA_VERSION = 1
SHARE_OF_FREE_DISK = 0.8
"""Part of the free disk that a quota may take, whatever was asked for."""
CHECKED_BYTES = 64 * 1024 * 1024
"""Up to this size a file is read through at the start, to see whether it is damaged."""

_SCHEMA = f"""
CREATE TABLE events (number INTEGER PRIMARY KEY, accepted_at REAL NOT NULL, {COLUMNS}) STRICT;
CREATE TABLE refused (
  number INTEGER PRIMARY KEY, refused_at REAL NOT NULL, reason TEXT NOT NULL,
  again INTEGER NOT NULL DEFAULT 0, accepted_at REAL NOT NULL, {COLUMNS}
) STRICT;
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA_VERSION};
""".replace(COLUMNS, "exchange TEXT, routing_key TEXT, properties BLOB, body BLOB")


def open_file(path: Path, *, quota: int) -> OutboxFile:
    """Open the file, or make it. `quota`: bytes it may have, at most 80 % of the free disk.

    Raises ConfigError, and has touched nothing, when it is in use, damaged, or not ours.
    """
    refuse_foreign(path)
    lock = _locked(path)
    try:
        connection = _connected(path)
        try:
            _prepare(connection, path)
            connection.execute(f"PRAGMA max_page_count={_pages(path, quota)}")
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
    """Look at the first bytes of a file, before anything could change it.

    Source: sqlite.org/fileformat.html, the database header.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"TIDINGS_OUTBOX: cannot read {path}: {error.strerror}") from None
    if not header:
        return
    if not header.startswith(b"SQLite format 3\0") or len(header) < 100:  # noqa: PLR2004 - the header's size
        raise ConfigError(
            f"TIDINGS_OUTBOX: {path} is no SQLite file, so it is not our outbox; nothing was "
            "changed. Name another file"
        )
    if application := int.from_bytes(header[68:72], "big"):
        version = int.from_bytes(header[60:64], "big")
        _refuse_others(path, application=application, version=version)


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


def _connected(path: Path) -> sqlite3.Connection:
    # Transactions are ours to begin: Python's own would begin them late. Opened in the thread that
    # makes the outbox, used in another one, never in two at a time. What events say is nobody
    # else's: SQLite would make the file readable for all.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make or check the schema."""
    made = refuse_unfit(connection, path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-4096")  # KiB
    if not made:
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")


def refuse_unfit(connection: sqlite3.Connection, path: Path) -> bool:
    """Look through a file whose first bytes are well; False when it is empty yet.

    The marks in its header may be in the write-ahead log only, so they are asked for once more.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables:
        return False
    _refuse_others(
        path,
        application=connection.execute("PRAGMA application_id").fetchone()[0],
        version=connection.execute("PRAGMA user_version").fetchone()[0],
    )
    if path.stat().st_size <= CHECKED_BYTES:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            problem = " ".join(found.split())
            raise ConfigError(
                f"TIDINGS_OUTBOX: {path} is damaged ({problem}); nothing was changed. Move it away "
                "and start again, then save what `sqlite3 FILE .recover` still finds in it"
            )
    return True


def _refuse_others(path: Path, *, application: int, version: int) -> None:
    if application != APPLICATION:
        raise ConfigError(
            f"TIDINGS_OUTBOX: {path} is the database of another program; nothing was changed. "
            "Name another file"
        )
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"TIDINGS_OUTBOX: {path} was written by a newer Tidings (format {version}, this one "
            f"knows {SCHEMA_VERSION}); start that version"
        )


def _pages(path: Path, quota: int) -> int:
    """Return the quota in pages."""
    free = shutil.disk_usage(path.parent).free + path.stat().st_size
    return max(16, int(min(quota, free * SHARE_OF_FREE_DISK)) // PAGE_BYTES)
