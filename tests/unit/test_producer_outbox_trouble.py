"""The outbox on a disk that is full or fails, and its marks."""

import asyncio
from pathlib import Path

import pytest

from common.errors import InvalidEvent, OutboxFull
from producer.outbox.file import Batch, NoRoom, NotWritten
from producer.outbox.marks import Mark
from support.outbox_running import NEVER, on_disk, opened, publishing, taken
from support.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


async def test_a_full_disk_makes_callers_wait_and_drains_when_the_broker_is_back(
    path: Path,
) -> None:
    """Given a quota of 1 MiB and no broker; then the broker takes everything."""
    async with opened(path, quota=1024 * 1024) as outbox:
        loop = asyncio.get_running_loop()
        accepted = 0
        while outbox.trouble is None:
            entry = await outbox.append(publishing(accepted, 50_000))
            accepted += 1
            await asyncio.wait((entry.safe,), timeout=0.2)
        with pytest.raises(OutboxFull, match="full"):
            await outbox.append(publishing(accepted, 50_000), deadline=loop.time() + 0.2)
        assert outbox.trouble is not None
        waiting = asyncio.create_task(outbox.append(publishing(accepted, 50_000)))

        for number in range(accepted):
            (entry,) = await taken(outbox, 1)
            assert entry.publishing.routing_key == f"t{number}"
            outbox.confirm(entry)

        await waiting
        (last,) = await taken(outbox, 1)
        assert last.publishing.routing_key == f"t{accepted}"
        outbox.confirm(last)
        await outbox.drained()
        await until(lambda: outbox.trouble is None)
    assert on_disk(path) == []


async def test_a_mark_counts_when_all_that_came_before_it_is_safe(path: Path) -> None:
    async with opened(path, patience=NEVER) as outbox:
        await outbox.append(publishing(1))
        outbox.note(Mark("ticker", "1"))
        assert outbox.noted("ticker") is None

        (entry,) = await outbox.take(1)
        outbox.confirm(entry)
        assert outbox.noted("ticker") == "1"

    async with opened(path) as outbox:
        assert outbox.noted("ticker") == "1"


async def test_events_and_their_cursor_are_kept_together_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a commit that fails in the middle; then neither the events nor the cursor are there."""
    async with opened(path) as outbox:
        await outbox.append_with([publishing(1), publishing(2)], Mark("file", "20"))
        await until(lambda: outbox.noted("file") == "20")
        assert on_disk(path) == ["t1", "t2"]

        def failing(*_: object) -> int:
            raise NotWritten("disk I/O error")

        monkeypatch.setattr(outbox._journal._file, "commit", failing)
        await outbox.append_with([publishing(3), publishing(4)], Mark("file", "40"))
        await until(lambda: outbox.trouble == "disk I/O error")
        assert outbox.noted("file") == "20"
        assert on_disk(path) == ["t1", "t2"]
        monkeypatch.undo()
        await until(lambda: outbox.noted("file") == "40")
        assert on_disk(path) == ["t1", "t2", "t3", "t4"]


async def test_what_cannot_be_written_goes_to_the_broker_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path, patience=NEVER) as outbox:

        def failing(*_: object) -> int:
            raise NotWritten("disk I/O error")

        monkeypatch.setattr(outbox._journal._file, "commit", failing)
        entry = await outbox.append(publishing(1))
        (sent,) = await outbox.take(1)
        outbox.confirm(sent)
        assert await entry.safe is None
        monkeypatch.undo()


async def test_a_refused_event_stays_in_its_place_until_it_can_be_set_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a file that takes nothing more when the broker refuses: it is here or there."""
    async with opened(path) as outbox:
        entry = await outbox.append(publishing(1))
        await entry.safe
        (taken_,) = await outbox.take(1)
        commit = outbox._journal._file.commit

        def full(batch: Batch) -> int:
            if batch.refusals or batch.accepted:
                raise NoRoom("database or disk is full")
            return commit(batch)

        monkeypatch.setattr(outbox._journal._file, "commit", full)
        outbox.refuse(taken_, InvalidEvent("no"))
        await until(lambda: outbox.trouble is not None)
        assert on_disk(path) == ["t1"]
        monkeypatch.undo()
        await until(lambda: on_disk(path) == [])
        assert outbox.refused == 1
