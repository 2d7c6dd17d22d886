"""The connection that handlers write through: their transactions begin with the event's row."""

import sqlite3
from collections.abc import Callable

from consumer.inbox.claim import Claim, Finished, judge
from consumer.inbox.file import FIND, WRITE, Place, Row, Unusable, has_room, roll_back
from consumer.transaction import Guard, Transaction, TransactionMisuse

_AILMENTS = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)
"""What has nothing to do with what a handler did."""


class HandlersWriter:
    """Begins transactions, one at a time, and ends them; between the two they are guarded.

    Blocking, and for one thread. `connect` opens a connection when the first handler needs it, and
    after one has failed.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], place: Place) -> None:
        self._connect = connect
        self._place = place
        self._sqlite: sqlite3.Connection | None = None
        self._guard: Guard | None = None

    def begin(self, row: Row) -> Claim:
        """Begin, and write the row, unless the event was seen. Raises Unusable."""
        self._place.check()
        key = (self._place.group, *row.key)
        try:
            if self._sqlite is None:
                self._sqlite = self._connect()
            execute = self._sqlite.execute
            execute("BEGIN IMMEDIATE")
            found = execute(FIND, key).fetchone()
            last = None if found is None else Finished(found[0], found[1], bool(found[2]))
            claim = judge(last, row.hop, row.content)
            if claim is Claim.TAKEN:
                execute(WRITE, row.values(self._place.group))
                self._guard = Guard(self._sqlite)
            else:
                execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._undone(error) from None
        except OSError as error:  # it went away while it was opened
            raise Unusable(f"{self._place.path}: {error.strerror}") from None
        return claim

    @property
    def busy(self) -> bool:
        """Whether something has begun."""
        return self._sqlite is not None and self._sqlite.in_transaction

    @property
    def transaction(self) -> Transaction:
        """What the handler of this moment gets."""
        if self._guard is None:
            raise TransactionMisuse("no transaction has begun")
        return Transaction(self._guard)

    def commit(self) -> None:
        """Keep it. Raises Unusable; TransactionMisuse when a statement has undone it."""
        if self._guard is None or self._sqlite is None:
            raise TransactionMisuse("no transaction has begun")
        self._guard.close(interrupt=False)
        try:
            self._guard.check()
            self._place.check()
            self._sqlite.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._undone(error) from None
        except (TransactionMisuse, Unusable):
            self.roll_back()
            raise
        self._guard = None

    def roll_back(self) -> Unusable | None:
        """Undo it, the row too, if there is one.

        Returns what ails the file, where that is why a statement of the handler failed.
        """
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.close(interrupt=True)
        if self._sqlite is None:
            return None
        try:
            roll_back(self._sqlite)
            if guard is None or guard.failed is None or not self._is_ailment(guard.failed):
                return None
            return self._place.explained(guard.failed)
        except sqlite3.Error as error:
            return self._undone(error)

    def close(self) -> None:
        """Close the connection: what was not committed is undone."""
        self._guard = None
        connection, self._sqlite = self._sqlite, None
        if connection is not None:
            connection.close()

    def _is_ailment(self, error: sqlite3.Error) -> bool:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL and self._sqlite is not None:
            # With room left, this handler alone wanted more than there may be.
            return not has_room(self._sqlite, self._place.path)
        return code in _AILMENTS

    def _undone(self, error: sqlite3.Error) -> Unusable:
        """Begin anew with another connection: that is sure to have left nothing behind."""
        self.close()
        return self._place.explained(error)
