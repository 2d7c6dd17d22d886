"""What a handler may say to its transaction, and for how long."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.failure import Cause, Failure
from consumer.inbox.sqlite import SqliteInbox
from consumer.transaction import Transaction, TransactionMisuse
from support.inboxes import (
    effect,
    effects,
    events,
    handled,
    opened_with_effects,
    taken,
)

KEY = ("s", "7")
RAISED = Failure(Cause.RAISED, error="ValueError")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


@pytest.fixture
async def inbox(path: Path) -> AsyncIterator[SqliteInbox]:
    async with opened_with_effects(path) as inbox:
        yield inbox


async def test_a_thread_may_have_it_and_one_that_is_abandoned_has_it_no_more(
    path: Path, inbox: SqliteInbox
) -> None:
    """Given a plain handler that goes on when its time is over."""
    await taken(inbox, KEY)
    go_on = threading.Event()
    raised: list[Exception] = []

    def handler(tx: Transaction) -> None:
        effect(tx)
        go_on.wait(10)
        try:
            effect(tx, "late")
        except TransactionMisuse as error:
            raised.append(error)

    async with inbox.transaction(KEY) as begun:
        task = asyncio.create_task(asyncio.to_thread(handler, begun.transaction))
        await asyncio.wait([task], timeout=0.1)
        assert await begun.end(RAISED) is RAISED
    go_on.set()
    await task
    assert "this transaction is over" in str(raised[0])
    assert (events(path), effects(path)) == ([], [])


ENDLESS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
INSERT INTO effects SELECT i FROM n WHERE i < 0
"""


async def test_a_statement_that_never_ends_is_interrupted_with_its_run(
    path: Path, inbox: SqliteInbox
) -> None:
    await taken(inbox, KEY)
    async with inbox.transaction(KEY) as begun:
        task = asyncio.create_task(asyncio.to_thread(begun.transaction.execute, ENDLESS))
        await asyncio.wait([task], timeout=0.2)
        assert await asyncio.wait_for(begun.end(RAISED), 5) is RAISED
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        await task
    await asyncio.wait_for(inbox.finish(KEY, done=True), 5)
    assert inbox.trouble is None


async def test_it_reads_and_writes_as_sqlite_does(inbox: SqliteInbox) -> None:
    await taken(inbox, KEY)
    async with inbox.transaction(KEY) as begun:
        tx = begun.transaction
        assert tx.executemany("INSERT INTO effects VALUES (?)", ((n,) for n in "abc")) == 3
        assert tx.execute("UPDATE effects SET id = id || '!' WHERE id > ?", ["a"]) == 2
        assert tx.one("SELECT id FROM effects WHERE id = :name", {"name": "a"}) == ("a",)
        assert tx.one("SELECT id FROM effects WHERE id = 'z'") is None
        assert tx.one("INSERT INTO effects VALUES ('d') RETURNING id") == ("d",)
        assert tx.all("SELECT id FROM effects ORDER BY id") == [("a",), ("b!",), ("c!",), ("d",)]
        tx.execute("SAVEPOINT here")
        effect(tx, "undone")
        tx.execute("ROLLBACK TO here")
        tx.execute("RELEASE here")
        assert tx.one("SELECT count(*) FROM effects") == (4,)
        assert tx.one("PRAGMA table_info(effects)") is not None
        assert tx.all("SELECT id FROM seen WHERE id = '7'") == [("7",)]
        assert await begun.end(None) is None


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("COMMIT", "COMMIT: the transaction is begun before the handler and committed when it"),
        ("END", "COMMIT: the transaction is begun before"),
        ("ROLLBACK", "ROLLBACK: the transaction is begun before the handler"),
        ("BEGIN", "BEGIN: the transaction is begun before the handler"),
        ("ATTACH ':memory:' AS other", "ATTACH and DETACH: a transaction has one database"),
        ("PRAGMA journal_mode=DELETE", "PRAGMA journal_mode: how the database is kept"),
        ("PRAGMA max_page_count=1000000", "PRAGMA max_page_count: how the database is kept"),
        ("DELETE FROM seen", "the table 'seen' is the inbox itself"),
        ("UPDATE seen SET done = 0", "the table 'seen' is the inbox itself"),
        ("INSERT INTO seen VALUES (1,2,3,4,5,6,7)", "the table 'seen' is the inbox itself"),
        ("DROP TABLE seen", "the table 'seen' is the inbox itself"),
        ("ALTER TABLE seen ADD COLUMN mine", "the table 'seen' is the inbox itself"),
        (
            "CREATE TRIGGER mine AFTER INSERT ON seen BEGIN SELECT 1; END",
            "the table 'seen' is the inbox itself",
        ),
    ],
)
async def test_what_is_not_a_handlers_to_say_is_refused_and_the_rest_goes_on(
    path: Path, inbox: SqliteInbox, statement: str, said: str
) -> None:
    # Twice, and once before: prepared statements that are remembered are checked as well.
    await handled(inbox, ("s", "before"))
    await taken(inbox, KEY)
    async with inbox.transaction(KEY) as begun:
        for _ in range(2):
            with pytest.raises(TransactionMisuse) as caught:
                begun.transaction.execute(statement)
            assert str(caught.value).startswith(said)
        effect(begun.transaction)
        assert await begun.end(None) is None
    assert effects(path) == ["7"]


async def test_a_statement_that_undoes_all_is_no_success_even_if_its_error_is_caught(
    path: Path, inbox: SqliteInbox
) -> None:
    await taken(inbox, KEY)
    async with inbox.transaction(KEY) as begun:
        tx = begun.transaction
        effect(tx)
        with pytest.raises(sqlite3.IntegrityError):
            tx.execute("INSERT OR ROLLBACK INTO effects VALUES ('7')")
        with pytest.raises(TransactionMisuse, match="has undone this transaction"):
            effect(tx, "alone")
        failure = await begun.end(None)
    assert failure is not None
    assert (failure.cause, failure.error) == (Cause.RAISED, "TransactionMisuse")
    assert (events(path), effects(path)) == ([], [])


async def test_a_wrong_statement_is_the_handlers_own_failure(
    path: Path, inbox: SqliteInbox
) -> None:
    await taken(inbox, KEY)
    async with inbox.transaction(KEY) as begun:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            begun.transaction.execute("INSERT INTO nowhere VALUES (1)")
        assert await begun.end(RAISED) is RAISED
    assert inbox.trouble is None
