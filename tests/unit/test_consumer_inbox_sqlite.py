"""The inbox on disk: an event is in one hand at a time, and handled once, also after a restart."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from consumer.inbox import purge
from consumer.inbox.claim import Claim
from consumer.inbox.file import Row
from consumer.inbox.sqlite import SqliteInbox
from support.inboxes import BODY, WEEK, Clock, handled, made, opened, rows, running, taken
from support.waiting import until

KEY = ("s", "7")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


async def test_an_event_that_is_done_is_known_to_the_next_process(path: Path) -> None:
    async with opened(path) as inbox:
        await handled(inbox, KEY)
        assert rows(path) == [("7", 0, 1)]
        assert inbox.take(KEY, 3, BODY) is Claim.SEEN
        assert await inbox.claim(KEY, 3, BODY) is Claim.SEEN

    async with opened(path) as inbox:
        assert inbox.take(KEY, 3, BODY) is None
        assert await inbox.claim(KEY, 3, BODY) is Claim.SEEN
        assert await inbox.claim(("other", "7"), 0, BODY) is Claim.TAKEN


async def test_a_copy_that_moved_on_is_finished_and_the_next_one_is_not(path: Path) -> None:
    async with opened(path) as inbox:
        await taken(inbox, KEY)
        await inbox.finish(KEY, done=False)

    async with opened(path) as inbox:
        assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN
        await taken(inbox, KEY, hop=1)
        await inbox.finish(KEY, done=False)
        assert await inbox.claim(KEY, 1, BODY) is Claim.SEEN
        await handled(inbox, KEY, hop=2)
        assert await inbox.claim(KEY, 3, BODY) is Claim.SEEN
    assert rows(path) == [("7", 2, 1)]


async def test_what_was_forgotten_left_nothing_behind(path: Path) -> None:
    async with opened(path) as inbox:
        await taken(inbox, KEY)
        inbox.forget(KEY)
        await taken(inbox, KEY)
        inbox.forget(KEY)
    assert rows(path) == []


@pytest.mark.parametrize("done", [True, False])
async def test_other_content_under_the_same_id_is_a_conflict_also_after_a_restart(
    path: Path, *, done: bool
) -> None:
    async with opened(path) as inbox:
        await taken(inbox, KEY)
        await inbox.finish(KEY, done=done)
        assert await inbox.claim(KEY, 0, b"[]") is Claim.CONFLICT
    async with opened(path) as inbox:
        assert await inbox.claim(KEY, 1, b"[]") is Claim.CONFLICT
        assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN


@pytest.mark.parametrize(("end", "claim"), [("finish", Claim.SEEN), ("forget", Claim.TAKEN)])
async def test_a_second_delivery_waits_for_the_run_that_is_going_on(
    path: Path, end: str, claim: Claim
) -> None:
    async with opened(path) as inbox:
        await taken(inbox, KEY)
        assert inbox.take(KEY, 0, BODY) is None
        second = asyncio.create_task(inbox.claim(KEY, 0, BODY))
        await asyncio.wait([second], timeout=0.02)
        assert not second.done()

        if end == "finish":
            await inbox.finish(KEY, done=True)
        else:
            inbox.forget(KEY)

        assert await asyncio.wait_for(second, 10) is claim


async def test_a_claim_that_is_cancelled_while_it_reads_leaves_nothing_in_hand(path: Path) -> None:
    async with opened(path) as inbox:
        first = asyncio.create_task(inbox.claim(KEY, 0, BODY))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        await taken(inbox, KEY)


async def test_a_finish_that_is_cancelled_may_be_kept_or_not_and_its_event_is_free(
    path: Path,
) -> None:
    async with opened(path) as inbox:
        await taken(inbox, KEY)
        finishing = asyncio.create_task(inbox.finish(KEY, done=True))
        await asyncio.sleep(0)
        finishing.cancel()
        await asyncio.wait([finishing])
        inbox.forget(KEY)

        claim = await asyncio.wait_for(inbox.claim(KEY, 0, BODY), 10)

        assert (claim is Claim.SEEN) == (rows(path) == [("7", 0, 1)])


async def test_events_that_finish_together_share_a_commit_and_claims_a_reading(path: Path) -> None:
    inbox = made(path)
    written: list[int] = []
    read: list[int] = []
    write, find = inbox._writes._work, inbox._reads._work

    def count_writes(batch: Sequence[Row]) -> Sequence[None]:
        written.append(len(batch))
        return write(batch)

    def count_reads(batch: Sequence[tuple[str, str]]) -> "Sequence[object]":
        read.append(len(batch))
        return find(batch)

    inbox._writes._work = count_writes
    inbox._reads._work = count_reads  # type: ignore[assignment] # passed on
    async with running(inbox):
        await asyncio.gather(*(handled(inbox, ("s", str(number))) for number in range(500)))

    assert sum(written) == sum(read) == 500
    assert len(written) < 10
    assert len(read) < 10


async def test_two_processes_on_one_file_know_what_the_other_has_done(path: Path) -> None:
    async with opened(path) as one, opened(path) as other:
        await handled(one, KEY)
        assert await other.claim(KEY, 0, BODY) is Claim.SEEN
        await handled(other, ("s", "8"))
        assert await one.claim(("s", "8"), 0, BODY) is Claim.SEEN


async def test_two_copies_at_once_in_two_processes_are_one_event_in_the_end(path: Path) -> None:
    """Given two runs at once, which only a transaction would keep apart (I4)."""
    async with opened(path) as one, opened(path) as other:
        await taken(one, KEY, hop=1)
        await taken(other, KEY, hop=0)
        await one.finish(KEY, done=True)
        await other.finish(KEY, done=False)

        assert await one.claim(KEY, 5, BODY) is Claim.SEEN
        assert await other.claim(KEY, 5, BODY) is Claim.SEEN
    assert rows(path) == [("7", 1, 1)]


async def test_the_end_writes_what_nobody_waits_for_any_more(path: Path) -> None:
    inbox = made(path)
    running_ = asyncio.create_task(inbox.run())
    await taken(inbox, KEY)
    running_.cancel()
    await asyncio.wait([running_])
    finishing = asyncio.create_task(inbox.finish(KEY, done=True))
    await asyncio.sleep(0)

    await inbox.close()

    await asyncio.wait_for(finishing, 10)
    assert rows(path) == [("7", 0, 1)]


def aged(inbox: SqliteInbox) -> purge.Purge:
    return inbox._purge


async def test_events_are_forgotten_when_their_time_is_over_and_not_before(path: Path) -> None:
    """Given an event a week ago; a replay of it later than that runs again (I7)."""
    clock = Clock()
    async with opened(path, clock=clock) as inbox:
        await handled(inbox, ("s", "old"))
        clock.now += 1000
        await handled(inbox, ("s", "young"))

        clock.now += WEEK - 1000
        await aged(inbox).walk()
        assert await inbox.claim(("s", "old"), 0, BODY) is Claim.SEEN

        clock.now += 1
        await aged(inbox).walk()
        await taken(inbox, ("s", "old"))
        assert await inbox.claim(("s", "young"), 0, BODY) is Claim.SEEN
    assert [one[0] for one in rows(path)] == ["young"]


async def test_the_purge_goes_through_many_events_in_small_steps_beside_the_work(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "PAUSE_SECONDS", 0.0)
    clock = Clock()
    async with opened(path, clock=clock) as inbox:
        await asyncio.gather(*(handled(inbox, ("s", str(n))) for n in range(2500)))

    clock.now += WEEK + 10
    async with opened(path, clock=clock) as inbox:
        await handled(inbox, ("s", "new"))
        await until(lambda: rows(path) == [("new", 0, 1)])


async def test_the_purge_leaves_the_events_of_other_groups_to_their_own(path: Path) -> None:
    clock = Clock()
    async with opened(path, clock=clock, group="mail", keep=10 * WEEK) as other:
        await handled(other, KEY)
        clock.now += 2 * WEEK
        async with opened(path, clock=clock) as inbox:
            await aged(inbox).walk()
        assert await other.claim(KEY, 0, BODY) is Claim.SEEN
