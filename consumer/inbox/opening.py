"""Open the file of an inbox, or say in one line why not; then nothing has been touched."""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigError
from common.sqlite_file import FileKind, connected, connected_again, prepare, refuse_foreign
from consumer.inbox.file import SCHEMA, Place, Reader, Writer
from consumer.inbox.handlers import HandlersWriter

INBOX = FileKind(
    variable="TIDINGS_INBOX",
    noun="inbox",
    application=0x54494449 + 1,  # TIDJ: the outbox's is TIDI
    version=1,
    schema=SCHEMA,
)
BUSY_SECONDS = 1.0
"""How long a writer waits for another process before that is a trouble, and said."""
OPENING_SECONDS = 5.0
"""How long the start waits for other consumers that make or open the file at the same time."""
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class InboxFile:
    """An open file: a connection to read, one to write, and one for handlers."""

    reader: Reader
    writer: Writer
    handlers: HandlersWriter


def open_file(path: Path, *, group: str, quota: int) -> InboxFile:
    """Open the file, or make it, for one group. `quota`: bytes, at most 80 % of the free disk.

    Raises ConfigError, and has touched nothing, when it is damaged or not ours.
    """
    refuse_foreign(path, INBOX)
    deadline = time.monotonic() + OPENING_SECONDS
    while True:
        try:
            return _opened(path, group, quota)
        except OSError as error:
            raise ConfigError(
                f"TIDINGS_INBOX: {path}: {error.strerror}; name a file in a folder that is there "
                "and can be written"
            ) from None
        except sqlite3.Error as error:
            # SQLite does not wait by itself while another process makes the file.
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise ConfigError(f"TIDINGS_INBOX: {path} cannot be used: {error}") from None
            time.sleep(PAUSE_SECONDS)


def _opened(path: Path, group: str, quota: int) -> InboxFile:
    def another(connect: Callable[..., sqlite3.Connection]) -> sqlite3.Connection:
        connection = connect(path, timeout=BUSY_SECONDS)
        try:
            prepare(connection, path, INBOX, quota=quota)
        except BaseException:
            connection.close()
            raise
        return connection

    first = another(connected)
    try:
        place = Place.of(path, group)
        second = connected_again(path, timeout=BUSY_SECONDS)
        second.execute("PRAGMA query_only=ON")
    except BaseException:
        first.close()
        raise

    return InboxFile(
        reader=Reader(second, place),
        writer=Writer(first, place),
        handlers=HandlersWriter(lambda: another(connected_again), place),
    )
