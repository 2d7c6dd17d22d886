"""The transaction that a handler may ask for: what it writes is kept with the word that it ran.

`tx: Transaction` among a handler's parameters is the database of the inbox, in a transaction that
begins before the handler and is committed, with the event's row in it, when the handler returns.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from common.errors import TidingsError

OUR_TABLE = "seen"
SAFE_PRAGMAS = frozenset(
    {
        "defer_foreign_keys",
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
_WRITES = (
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_DROP_TABLE,
)
_CHANGES = (sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_CREATE_INDEX)
"""Those whose second word is the table."""

Parameters = Sequence[Any] | Mapping[str, Any]
T = TypeVar("T")


class TransactionMisuse(TidingsError):
    """A handler asked its transaction for what is not its to do, or too late."""


class Guard:
    """Lets one thread at a time use a connection, until it is closed, and only for what is allowed.

    A thread that is abandoned at its timeout still has the transaction in hand, so the end is
    checked at each statement.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sqlite = connection
        self._lock = threading.Lock()
        self._open = True
        self._denied = ""
        self.failed: sqlite3.Error | None = None
        """The last error of a statement."""
        connection.set_authorizer(self._allowed)

    def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection. Raises TransactionMisuse, and what SQLite raises."""
        with self._lock:
            if not self._open:
                raise TransactionMisuse(
                    "this transaction is over: it ended with its run of the handler, or at its "
                    "timeout"
                )
            self.check()
            self._denied = ""
            try:
                return work(self._sqlite)
            except sqlite3.Error as error:
                if self._denied:
                    raise TransactionMisuse(self._denied) from None
                self.failed = error
                raise

    def check(self) -> None:
        """Raise TransactionMisuse where a statement has ended the transaction."""
        if not self._sqlite.in_transaction:
            raise TransactionMisuse(
                "an earlier statement has undone this transaction (as OR ROLLBACK does); let its "
                "error leave the handler"
            )

    def close(self, *, interrupt: bool) -> None:
        """Let no more statements begin, wait for the one that runs, or `interrupt` it."""
        self._open = False
        if interrupt:
            self._sqlite.interrupt()
        with self._lock:
            self._sqlite.set_authorizer(None)

    def _allowed(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_TRANSACTION:
            self._denied = (
                f"{first}: the transaction is begun before the handler and committed when it "
                "returns; raise to undo it"
            )
        elif action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
            self._denied = "ATTACH and DETACH: a transaction has one database, that of the inbox"
        elif action == sqlite3.SQLITE_PRAGMA and str(first).lower() not in SAFE_PRAGMAS:
            self._denied = f"PRAGMA {first}: how the database is kept is not a handler's to say"
        elif (action in _WRITES and first == OUR_TABLE) or (
            action in _CHANGES and second == OUR_TABLE
        ):
            self._denied = f"the table '{OUR_TABLE}' is the inbox itself; name yours otherwise"
        else:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY


class Transaction:
    """SQLite statements that are kept together with the event's own row, or not at all.

    The tables are yours to make, beside `seen`, in the file of the inbox. Statements block: in an
    async handler keep them short. No other event is finished in this group meanwhile.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def execute(self, sql: str, parameters: Parameters = (), /) -> int:
        """Run one statement; return how many rows it changed, -1 where that means nothing."""

        def work(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(sql, parameters)
            try:
                return cursor.rowcount
            finally:
                cursor.close()

        return self._guard.use(work)

    def executemany(self, sql: str, rows: Iterable[Parameters], /) -> int:
        """Run one statement for each of the rows; return how many rows were changed in all."""
        every = list(rows)  # before the lock: where they come from may take its time
        return self._guard.use(lambda connection: connection.executemany(sql, every).rowcount)

    def one(self, sql: str, parameters: Parameters = (), /) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""

        def work(connection: sqlite3.Connection) -> tuple[Any, ...] | None:
            cursor = connection.execute(sql, parameters)
            try:
                row: tuple[Any, ...] | None = cursor.fetchone()
                return row
            finally:
                cursor.close()

        return self._guard.use(work)

    def all(self, sql: str, parameters: Parameters = (), /) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self._guard.use(lambda connection: connection.execute(sql, parameters).fetchall())
