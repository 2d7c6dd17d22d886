"""The outbox on disk: when an event is safe, and what is sent next."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from common.errors import BrokerUnavailable, InvalidEvent
from producer.outbox import sqlite
from producer.outbox.opening import open_file
from producer.outbox.sqlite import SqliteOutbox
from support.outbox_running import ENDED, NEVER, QUOTA, keys, on_disk, opened, publishing, taken
from support.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


async def test_an_event_that_the_broker_confirms_in_time_never_touches_the_disk(path: Path) -> None:
    async with opened(path, patience=NEVER) as outbox:
        entry = await outbox.append(publishing(1))
        (sent,) = await outbox.take(10)
        outbox.confirm(sent)

        assert await entry.safe is None
        assert outbox.depth == 0
        assert on_disk(path) == []


async def test_an_event_without_a_confirm_is_written_and_safe_and_still_to_be_sent(
    path: Path,
) -> None:
    async with opened(path, patience=0.01) as outbox:
        entry = await outbox.append(publishing(1))

        assert await entry.safe is None
        assert on_disk(path) == ["t1"]
        assert await outbox.take(10) == [entry]
        outbox.confirm(entry)
        await until(lambda: on_disk(path) == [])
        await outbox.drained()


async def test_while_something_waits_on_disk_what_comes_is_written_at_once(path: Path) -> None:
    async with opened(path, patience=0.01) as outbox:
        first = await outbox.append(publishing(1))
        await first.safe
        outbox._unsafe._patience = NEVER

        second = await outbox.append(publishing(2))

        assert await second.safe is None
        assert on_disk(path) == ["t1", "t2"]


async def test_callers_that_come_together_share_a_transaction(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = open_file(path, quota=QUOTA)
    commits = 0
    commit = file.commit

    def counted(batch: "object") -> int:
        nonlocal commits
        commits += 1
        return commit(batch)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(file, "commit", counted)
    outbox = SqliteOutbox(file, patience=0.0)
    running = asyncio.create_task(outbox.run())

    entries = [await outbox.append(publishing(number)) for number in range(500)]
    await asyncio.gather(*(entry.safe for entry in entries))

    assert commits < 20
    running.cancel()
    await asyncio.wait((running,))
    await outbox.close(ENDED)


async def test_what_waits_is_sent_in_order_by_the_next_process(path: Path) -> None:
    """Given far more events than are held in memory, the end, and a new start."""
    count = sqlite.MOST_HERE + 1500
    async with opened(path) as outbox:
        for number in range(count):
            await outbox.append(publishing(number))
        assert outbox.depth == count

    async with opened(path) as outbox:
        assert outbox.depth == count
        for start in range(0, count, 100):
            entries = await taken(outbox, min(100, count - start))
            assert keys(entries) == [f"t{start + place}" for place in range(len(entries))]
            for entry in entries:
                outbox.confirm(entry)
        await outbox.drained()
    assert on_disk(path) == []


async def test_new_events_come_after_those_on_disk(path: Path) -> None:
    async with opened(path) as outbox:
        for number in range(3):
            await outbox.append(publishing(number))

    async with opened(path, patience=NEVER) as outbox:
        await outbox.append(publishing(3))
        assert keys(await taken(outbox, 4)) == ["t0", "t1", "t2", "t3"]


async def test_memory_holds_a_bounded_part_of_what_waits(path: Path) -> None:
    async with opened(path) as outbox:
        for number in range(3 * sqlite.MOST_HERE):
            await outbox.append(publishing(number))
        assert len(outbox._here) <= sqlite.MOST_HERE
        assert outbox.depth == 3 * sqlite.MOST_HERE


async def test_what_is_given_back_comes_before_all_that_is_younger(path: Path) -> None:
    async with opened(path) as outbox:
        for number in range(5):
            await outbox.append(publishing(number))
        entries = await taken(outbox, 4)

        for entry in (entries[2], entries[0]):
            outbox.give_back(entry)

        assert keys(await taken(outbox, 3)) == ["t0", "t2", "t4"]


async def test_the_end_writes_what_is_not_safe_and_tells_who_waits_that_it_is(path: Path) -> None:
    outbox = SqliteOutbox(open_file(path, quota=QUOTA), patience=NEVER)
    entry = await outbox.append(publishing(1))

    await outbox.close(ENDED)

    assert await entry.safe is None
    assert on_disk(path) == ["t1"]
    with pytest.raises(BrokerUnavailable):
        await outbox.append(publishing(2))


async def test_who_gives_up_before_the_disk_was_asked_takes_the_event_back(path: Path) -> None:
    async with opened(path, patience=NEVER) as outbox:
        entry = await outbox.append(publishing(1))
        outbox.withdraw(entry)

        assert outbox.depth == 0
        await outbox.drained()
    assert on_disk(path) == []


async def test_who_gives_up_too_late_leaves_it_to_be_sent(path: Path) -> None:
    async with opened(path) as outbox:
        entry = await outbox.append(publishing(1))
        await entry.safe
        outbox.withdraw(entry)

        assert outbox.depth == 1
        assert await outbox.take(1) == [entry]


async def test_a_refused_event_is_set_aside_with_its_reason_and_blocks_nobody(path: Path) -> None:
    async with opened(path) as outbox:
        bad = await outbox.append(publishing(1))
        good = await outbox.append(publishing(2))
        await bad.safe
        assert await taken(outbox, 2) == [bad, good]

        outbox.refuse(bad, InvalidEvent("larger than the broker takes"))
        outbox.confirm(good)

        await until(lambda: on_disk(path) == [])
        assert outbox.refused == 1
        with sqlite3.connect(path) as database:
            rows = database.execute("SELECT routing_key, reason FROM refused").fetchall()
        database.close()
        assert rows == [("t1", "larger than the broker takes")]


async def test_who_still_waits_for_a_refused_event_is_told_and_nothing_is_kept(path: Path) -> None:
    async with opened(path, patience=NEVER) as outbox:
        loop = asyncio.get_running_loop()
        entry = await outbox.append(publishing(1), deadline=loop.time() + 60)
        problem = InvalidEvent("no")

        outbox.refuse(entry, problem)

        assert await entry.safe is problem
        assert outbox.refused == 0


async def test_refused_events_come_back_when_a_person_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOOK_SECONDS", 0.01)
    async with opened(path) as outbox:
        entry = await outbox.append(publishing(1))
        await entry.safe
        await taken(outbox, 1)
        outbox.refuse(entry, InvalidEvent("no"))
        await until(lambda: on_disk(path) == [])
        with sqlite3.connect(path) as other:
            other.execute("UPDATE refused SET again = 1")
        other.close()

        (again,) = await taken(outbox, 1)

        assert again.publishing == entry.publishing
        await until(lambda: outbox.refused == 0)
        outbox.confirm(again)
        await outbox.drained()
