"""Open a SQLite file of ours, or say in one line why not; then nothing has been touched.

Each kind of file has its mark in the header, so that none is taken for another.
"""

import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError

PAGE_BYTES = 4096
SHARE_OF_FREE_DISK = 0.8
"""Part of the free disk that a quota may take, whatever was asked for."""
CHECKED_BYTES = 64 * 1024 * 1024
"""Up to this size a file is read through at the start, to see whether it is damaged."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is for, and how it is told from others."""

    variable: str
    """The setting that names it."""
    noun: str
    application: int
    """The application id in its header."""
    version: int
    """The newest format that we know."""
    schema: str
    """Statements that make its tables."""


def connected(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open the file, or make an empty one; `timeout`: seconds to wait for others' locks.

    Not for a file that this process has open already: closing it here, as this does, drops the
    locks that SQLite holds on it (sqlite.org/howtocorrupt.html, 2.2).
    """
    # What events say is nobody else's: SQLite would make the file readable for all.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return connected_again(path, timeout=timeout)


def connected_again(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open a file that is there."""
    # Transactions are ours to begin: Python's own would begin them late. Opened in the thread that
    # makes its owner, used in another one, never in two at a time.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=timeout)


def prepare(connection: sqlite3.Connection, path: Path, kind: FileKind, *, quota: int) -> None:
    """Check the file, or make its tables; set what a connection has to be told.

    `quota`: bytes it may have, at most 80 % of the free disk. Raises ConfigError.
    """
    made = refuse_unfit(connection, path, kind)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-4096")  # KiB
    if not made:
        marks = f"PRAGMA application_id = {kind.application};PRAGMA user_version = {kind.version};"
        connection.executescript(f"BEGIN IMMEDIATE;{kind.schema}{marks}COMMIT;")
    connection.execute(f"PRAGMA max_page_count={_pages(path, quota)}")


def refuse_foreign(path: Path, kind: FileKind) -> None:
    """Look at the first bytes of a file, before anything could change it.

    Source: sqlite.org/fileformat.html, the database header.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{kind.variable}: cannot read {path}: {error.strerror}") from None
    if not header:
        return
    if not header.startswith(b"SQLite format 3\0") or len(header) < 100:  # noqa: PLR2004 - the header's size
        raise ConfigError(
            f"{kind.variable}: {path} is no SQLite file, so it is not our {kind.noun}; nothing was "
            "changed. Name another file"
        )
    if application := int.from_bytes(header[68:72], "big"):
        version = int.from_bytes(header[60:64], "big")
        _refuse_others(path, kind, application=application, version=version)


def refuse_unfit(connection: sqlite3.Connection, path: Path, kind: FileKind) -> bool:
    """Look through a file whose first bytes are well; False when it is empty yet.

    The marks in its header may be in the write-ahead log only, so they are asked for once more.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables:
        return False
    _refuse_others(
        path,
        kind,
        application=connection.execute("PRAGMA application_id").fetchone()[0],
        version=connection.execute("PRAGMA user_version").fetchone()[0],
    )
    if path.stat().st_size <= CHECKED_BYTES:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            problem = " ".join(found.split())
            raise ConfigError(
                f"{kind.variable}: {path} is damaged ({problem}); nothing was changed. Move it "
                "away and start again, then save what `sqlite3 FILE .recover` still finds in it"
            )
    return True


def _refuse_others(path: Path, kind: FileKind, *, application: int, version: int) -> None:
    if application != kind.application:
        raise ConfigError(
            f"{kind.variable}: {path} is the database of another program; nothing was changed. "
            "Name another file"
        )
    if version > kind.version:
        raise ConfigError(
            f"{kind.variable}: {path} was written by a newer Tidings (format {version}, this one "
            f"knows {kind.version}); start that version"
        )


def _pages(path: Path, quota: int) -> int:
    """Return the quota in pages."""
    free = shutil.disk_usage(path.parent).free + path.stat().st_size
    return max(16, int(min(quota, free * SHARE_OF_FREE_DISK)) // PAGE_BYTES)
