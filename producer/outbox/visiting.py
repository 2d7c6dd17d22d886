"""Visit the file of an outbox, which a producer may have open: look, and change what is set aside.

A visit does not take the producer's lock. SQLite lets others read at any time, and write between
two transactions; so a visit reads page by page with no transaction open in between, for an open one
keeps the write-ahead log growing, for as long as a pager waits; and it writes in short ones.

It makes no file and mends none: what is no outbox of ours is left as it is.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from common.errors import ConfigError, TidingsError
from common.message import Publishing
from producer.outbox.marks import Mark
from producer.outbox.opening import refuse_foreign, refuse_unfit
from producer.outbox.rows import COLUMNS, described, publishing_of

PAGE_ROWS = 500
"""Rows that are read, or changed, at once."""
BUSY_SECONDS = 5.0
"""How long a visit waits for its turn to write."""
PAUSE_SECONDS = 0.005
"""Between two transactions of a visit, for the producer's turn."""
MOST_REASONS = 1000
"""A reason may name a size, so that each event has its own: the most frequent are enough."""

_WITHOUT_BODY = COLUMNS.replace("body", "length(body)")
_REFUSAL = {"events": "NULL, '', 0", "refused": "refused_at, reason, again"}
"""By table: what is known of a refusal."""


class Held(NamedTuple):
    """An event in the file, without its body."""

    number: int
    accepted_at: float
    """Seconds since the epoch, as all times here."""
    refused_at: float | None
    """None: it waits for the broker."""
    reason: str
    again: bool
    """Whether a person wants it tried again, and no producer has taken it back yet."""
    id: str
    type: str
    bytes: int

    @property
    def table(self) -> str:
        """Where it lies."""
        return "events" if self.refused_at is None else "refused"


class Figures(NamedTuple):
    """What the whole file says."""

    waiting: int
    oldest: float | None
    """When the oldest event that waits was accepted."""
    refused: int
    again: int
    """Of those refused, how many wait for a producer to take them back."""
    reasons: list[tuple[str, int]]
    size_bytes: int
    marks: list[Mark]


class Visit:
    """An open file, for as long as `visit` lasts."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sqlite = connection

    def waiting(self) -> Iterator[list[Held]]:
        """Yield those that wait for the broker, in order, page by page."""
        return self._pages("events", None)

    def refused(self, *, up_to: int | None = None) -> Iterator[list[Held]]:
        """Yield those that are set aside, in the order of acceptance, page by page."""
        return self._pages("refused", up_to)

    def whole(self, held: Held) -> Publishing | None:
        """Return an event with its body; None when it is gone meanwhile."""
        row = self._sqlite.execute(
            f"SELECT {COLUMNS} FROM {held.table} WHERE number = ?",  # noqa: S608 - constants
            (held.number,),
        ).fetchone()
        return None if row is None else publishing_of(row)

    def try_again(self, chosen: Sequence[Held]) -> list[Held]:
        """Ask the producer to take these back; return those that were still there."""
        return self._change("UPDATE refused SET again = 1", chosen)

    def drop(self, chosen: Sequence[Held]) -> list[Held]:
        """Delete these for ever; return those that were still there."""
        return self._change("DELETE FROM refused", chosen)

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """See the file as it is now until the end: nothing moves between its tables. Be short."""
        self._sqlite.execute("BEGIN")
        try:
            yield
        finally:
            self._sqlite.execute("ROLLBACK")

    def figures(self) -> Figures:
        """Count everything."""
        one = self._sqlite.execute
        with self.one_moment():
            waiting, oldest = one(
                "SELECT count(*), (SELECT accepted_at FROM events ORDER BY number LIMIT 1) "
                "FROM events"
            ).fetchone()
            refused, again = one("SELECT count(*), coalesce(sum(again), 0) FROM refused").fetchone()
            reasons = one(
                "SELECT reason, count(*) AS many FROM refused "
                "GROUP BY reason ORDER BY many DESC, reason LIMIT ?",
                (MOST_REASONS,),
            ).fetchall()
            pages, free, page_bytes = (
                one(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            marks = [Mark(*row) for row in one("SELECT name, value FROM marks ORDER BY name")]
        return Figures(waiting, oldest, refused, again, reasons, (pages - free) * page_bytes, marks)

    def _pages(self, table: str, up_to: int | None) -> Iterator[list[Held]]:
        """Yield what is there now; what comes meanwhile is not seen, or there might be no end."""
        if up_to is None:
            up_to = self._sqlite.execute(
                f"SELECT coalesce(max(number), 0) FROM {table}"  # noqa: S608 - a constant
            ).fetchone()[0]
        query = (
            f"SELECT number, accepted_at, {_REFUSAL[table]}, {_WITHOUT_BODY} FROM {table} "  # noqa: S608 - constants
            "WHERE number > ? AND number <= ? ORDER BY number LIMIT ?"
        )
        after = 0
        while rows := self._sqlite.execute(query, (after, up_to, PAGE_ROWS)).fetchall():
            yield [_held(*row) for row in rows]
            after = rows[-1][0]

    def _change(self, change: str, chosen: Sequence[Held]) -> list[Held]:
        """Change rows in one transaction.

        The time of refusal says that a row is still the same: a producer that starts with an empty
        file gives the same numbers again.
        """
        if not chosen:
            return []
        time.sleep(PAUSE_SECONDS)
        execute = self._sqlite.execute
        execute("BEGIN IMMEDIATE")
        changed = [
            one
            for one in chosen
            if execute(
                f"{change} WHERE number = ? AND refused_at = ?", (one.number, one.refused_at)
            ).rowcount
        ]
        execute("COMMIT")
        return changed


@contextmanager
def visit(path: Path, *, change: bool = False) -> Iterator[Visit]:
    """Open the file of an outbox beside its producer, to look or also to `change`.

    Raises ConfigError, and has changed nothing, when there is no such file, or it is damaged or not
    ours; TidingsError when the file is busy or its disk fails.
    """
    refuse_foreign(path)
    if not path.exists():
        raise ConfigError(
            f"TIDINGS_OUTBOX: there is no file {path}; a producer makes it when it starts. Name "
            "the one that your producer has"
        )
    try:
        with closing(_connected(path, _looking(path))) as connection:
            if not refuse_unfit(connection, path):
                raise ConfigError(
                    f"TIDINGS_OUTBOX: {path} is empty: no producer has used it yet. Name another "
                    "file, or start the producer first"
                )
            if not change:
                yield Visit(connection)
                return
        with closing(_connected(path, "rw")) as connection:
            yield Visit(connection)
    except sqlite3.Error as error:
        raise _explained(error, path) from None


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)


def _looking(path: Path) -> str:
    """Choose the mode that leaves all as it is.

    Where a log lies beside the file, a writer that is the last to close would move it into the
    file; where none does, a reader would leave an empty one behind.
    """
    logs = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    return "ro" if any(log.exists() for log in logs) else "rw"


def _held(  # noqa: PLR0913, PLR0917 - the columns of a query
    number: int,
    accepted_at: float,
    refused_at: float | None,
    reason: str,
    again: int,
    exchange: str,
    routing_key: str,
    properties: bytes,
    size: int,
) -> Held:
    try:
        event = described((exchange, routing_key, properties, b""))
    except (ValueError, TypeError):  # a damage that SQLite does not see
        event = {"id": "", "type": routing_key}
    return Held(
        number=number,
        accepted_at=accepted_at,
        refused_at=refused_at,
        reason=reason,
        again=bool(again),
        id=event["id"] or "",
        type=event["type"] or "",
        bytes=size,
    )


def _explained(error: sqlite3.Error, path: Path) -> TidingsError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # without its finer part
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return TidingsError(f"{path} is busy: its producer writes all the time; try again")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return TidingsError(f"{path} cannot be changed: {error}; look at its disk")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return ConfigError(
            f"TIDINGS_OUTBOX: {path} is damaged ({error}); stop its producer, move the file away, "
            "and save what `sqlite3 FILE .recover` still finds in it"
        )
    return ConfigError(
        f"TIDINGS_OUTBOX: {path} cannot be used: {error}; read and write it as its producer's user"
    )
