"""Handlers' own writes are kept with the word that their event was handled, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from consumer.failure import Cause, Failure
from consumer.inbox import MemoryInbox
from consumer.inbox.claim import Claim
from consumer.inbox.sqlite import SqliteInbox
from consumer.parameters import read_parameters
from consumer.transaction import Transaction
from support.inboxes import (
    BODY,
    effect,
    effects,
    events,
    handled,
    opened,
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


async def test_what_a_handler_writes_and_its_event_are_committed_together(
    path: Path, inbox: SqliteInbox
) -> None:
    await taken(inbox, KEY, hop=2)
    async with inbox.transaction(KEY) as begun:
        assert begun.claim is Claim.TAKEN
        effect(begun.transaction)
        assert (events(path), effects(path)) == ([], [])
        assert await begun.end(None) is None
        assert (events(path), effects(path)) == (["7"], ["7"])
    assert await inbox.claim(KEY, 9, BODY) is Claim.SEEN
    await inbox.finish(KEY, done=True)  # nothing: it is finished


async def test_a_handler_that_raises_leaves_neither_and_its_event_in_hand(
    path: Path, inbox: SqliteInbox
) -> None:
    """I5: a failure that was kept would swallow the retry."""
    await taken(inbox, KEY)
    async with inbox.transaction(KEY) as begun:
        effect(begun.transaction)
        assert await begun.end(RAISED) is RAISED
    assert (events(path), effects(path)) == ([], [])
    assert inbox.take(KEY, 0, BODY) is None

    await inbox.finish(KEY, done=False)  # its copy is safe

    assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN
    await taken(inbox, KEY, hop=1)
    async with inbox.transaction(KEY) as begun:
        effect(begun.transaction)
        assert await begun.end(None) is None
    assert effects(path) == ["7"]


async def test_a_run_that_is_cancelled_leaves_neither(path: Path, inbox: SqliteInbox) -> None:
    await taken(inbox, KEY)
    begun_ = asyncio.Event()

    async def run() -> None:
        async with inbox.transaction(KEY) as begun:
            effect(begun.transaction)
            begun_.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    await begun_.wait()
    task.cancel()
    await asyncio.wait([task])
    inbox.forget(KEY)
    assert (events(path), effects(path)) == ([], [])
    await handled(inbox, KEY)


async def test_a_run_that_is_cancelled_while_it_begins_leaves_nothing_locked(
    path: Path, inbox: SqliteInbox
) -> None:
    await taken(inbox, KEY)

    async def run() -> None:
        async with inbox.transaction(KEY):
            await asyncio.sleep(60)

    for steps in range(12):
        task = asyncio.create_task(run())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.wait_for(inbox.finish(KEY, done=True), 5)
    assert inbox.trouble is None


async def test_two_copies_at_once_in_two_processes_have_their_effect_once(
    path: Path, inbox: SqliteInbox
) -> None:
    """I4: the second waits for the lock, and then sees the row."""
    async with opened(path) as other:
        await taken(inbox, KEY)
        await taken(other, KEY)
        found: list[Claim] = []

        async def second() -> None:
            async with other.transaction(KEY) as begun:
                found.append(begun.claim)

        async with inbox.transaction(KEY) as begun:
            effect(begun.transaction)
            waiting = asyncio.create_task(second())
            await asyncio.wait([waiting], timeout=0.1)
            assert found == []
            assert await begun.end(None) is None

        await asyncio.wait_for(waiting, 10)
        assert found == [Claim.SEEN]
        assert await other.claim(KEY, 0, BODY) is Claim.SEEN
    assert effects(path) == ["7"]


async def test_other_content_that_was_handled_meanwhile_is_a_conflict(
    path: Path, inbox: SqliteInbox
) -> None:
    async with opened(path) as other:
        await taken(inbox, KEY)
        await handled(other, KEY, body=b"[]")
        async with inbox.transaction(KEY) as begun:
            assert begun.claim is Claim.CONFLICT
        assert await inbox.claim(KEY, 0, b"[]") is Claim.SEEN


async def test_one_transaction_at_a_time_and_the_other_writers_have_their_turn_between(
    inbox: SqliteInbox,
) -> None:
    at_once = most = 0
    order: list[str] = []

    async def transactional(number: int) -> None:
        nonlocal at_once, most
        key = ("s", f"t{number}")
        await taken(inbox, key)
        async with inbox.transaction(key) as begun:
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1
            assert await begun.end(None) is None
        order.append("transaction")

    async def plain() -> None:
        await asyncio.sleep(0.03)
        await handled(inbox, KEY)
        order.append("plain")

    await asyncio.gather(plain(), *(transactional(number) for number in range(20)))
    assert most == 1
    assert order.index("plain") < 15


async def test_an_inbox_in_memory_has_none() -> None:
    with pytest.raises(ConfigError, match="in memory has no transactions"):
        MemoryInbox().transaction(KEY)


def test_a_handler_asks_for_it_by_annotation_and_gets_it_from_who_begins_it() -> None:
    def handler(order: dict[str, Any], tx: Transaction) -> None: ...

    parameters = read_parameters(handler, "shop.py:1")

    assert parameters.transaction == "tx"
    assert parameters.asks_for_transaction
    assert parameters.kinds == (("order", "payload"),)


def without(order: dict[str, Any]) -> None: ...


def twice(tx: Transaction, other: Transaction) -> None: ...


@pytest.mark.parametrize(("function", "said"), [(twice, "'other' .* a second transaction")])
def test_a_run_has_one_transaction(function: Callable[..., None], said: str) -> None:
    assert not read_parameters(without, "shop.py:1").asks_for_transaction
    with pytest.raises(ConfigError, match=said):
        read_parameters(function, "shop.py:1")
