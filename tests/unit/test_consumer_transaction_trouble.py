"""Transactions on a file that is locked, full or gone: whose fault it is, and who waits."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.failure import Cause, Failure
from consumer.inbox import turns
from consumer.inbox.claim import Claim
from consumer.inbox.sqlite import SqliteInbox
from support.inboxes import (
    BODY,
    effect,
    effects,
    events,
    held_by_another_process,
    made,
    opened,
    opened_with_effects,
    rows,
    taken,
)
from support.waiting import until

KEY = ("s", "7")
RAISED = Failure(Cause.RAISED, error="ValueError")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


@pytest.fixture
async def inbox(path: Path) -> AsyncIterator[SqliteInbox]:
    async with opened_with_effects(path) as inbox:
        yield inbox


async def test_a_handler_that_wants_more_than_the_quota_fails_and_stops_nobody(
    path: Path,
) -> None:
    async with opened(path, quota=2 * 1024 * 1024) as inbox:
        await taken(inbox, KEY)
        async with inbox.transaction(KEY) as begun:
            begun.transaction.execute("CREATE TABLE large (content BLOB)")
            with pytest.raises(sqlite3.OperationalError, match="full"):
                begun.transaction.execute("INSERT INTO large VALUES (zeroblob(9000000))")
            assert await begun.end(RAISED) is RAISED
        assert inbox.trouble is None
        await inbox.finish(KEY, done=True)


async def fill(inbox: SqliteInbox) -> None:
    """Fill a file of 1 MiB nearly to its end, with a handler's own table."""
    await taken(inbox, ("s", "filling"))
    async with inbox.transaction(("s", "filling")) as begun:
        tx = begun.transaction
        tx.execute("CREATE TABLE large (content BLOB)")
        tx.execute("INSERT INTO large VALUES (zeroblob(900000))")
        assert await begun.end(None) is None


async def test_a_full_file_is_not_the_fault_of_the_handler_that_meets_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.05)
    async with opened(path, quota=1024 * 1024) as inbox:
        await fill(inbox)
        await taken(inbox, KEY)
        async with inbox.transaction(KEY) as begun:
            with pytest.raises(sqlite3.OperationalError, match="full"):
                begun.transaction.execute("INSERT INTO large VALUES (zeroblob(200000))")
            failure = await begun.end(RAISED)
        assert failure is not None
        assert failure.cause is Cause.INTERRUPTED
        assert "full" in str(inbox.trouble)
        inbox.forget(KEY)
        claiming = asyncio.create_task(inbox.claim(KEY, 0, BODY))
        await asyncio.wait([claiming], timeout=0.3)
        assert not claiming.done()
        with sqlite3.connect(path) as person:
            person.execute("DELETE FROM large")
        person.close()
        assert await asyncio.wait_for(claiming, 5) is Claim.TAKEN


async def test_a_commit_that_fails_hands_the_event_back(
    path: Path, inbox: SqliteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I2: whether it was committed is looked up when the event comes back."""
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.05)
    await taken(inbox, KEY)
    aside = path.with_name("aside.db")
    async with inbox.transaction(KEY) as begun:
        effect(begun.transaction)
        await asyncio.to_thread(path.rename, aside)
        failure = await begun.end(None)
    assert failure is not None
    assert failure.cause is Cause.INTERRUPTED
    assert "No such file" in str(inbox.trouble)
    inbox.forget(KEY)
    aside.rename(path)
    assert (events(path), effects(path)) == ([], [])
    await taken(inbox, KEY)
    async with inbox.transaction(KEY) as begun:
        effect(begun.transaction)
        assert await begun.end(None) is None
    assert effects(path) == ["7"]


async def test_a_locked_file_makes_the_handler_wait_before_it_begins(
    path: Path, inbox: SqliteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.05)
    await taken(inbox, KEY)

    async def run() -> Claim:
        async with inbox.transaction(KEY) as begun:
            effect(begun.transaction)
            assert await begun.end(None) is None
            return begun.claim

    with held_by_another_process(path) as release:
        task = asyncio.create_task(run())
        await until(lambda: inbox.trouble is not None)
        assert "locked" in str(inbox.trouble)
        release()
        assert await asyncio.wait_for(task, 10) is Claim.TAKEN
    assert effects(path) == ["7"]


async def test_an_inbox_closes_with_a_transaction_left_open(path: Path) -> None:
    inbox = made(path)
    running = asyncio.create_task(inbox.run())
    await taken(inbox, KEY)
    manager = inbox.transaction(KEY)
    begun = await manager.__aenter__()
    begun.transaction.execute("CREATE TABLE effects (id)")
    running.cancel()
    await asyncio.wait([running])
    await inbox.close()
    assert rows(path) == []
