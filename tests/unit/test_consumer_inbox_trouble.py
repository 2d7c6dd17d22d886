"""The inbox on a file that is locked, full, or gone: claims wait, and nothing is forgotten."""

import asyncio
import shutil
from pathlib import Path

import pytest
import structlog

from consumer.inbox import turns
from consumer.inbox.claim import Claim
from consumer.inbox.opening import BUSY_SECONDS
from support.inboxes import (
    BODY,
    WEEK,
    Clock,
    handled,
    held_by_another_process,
    opened,
    rows,
    taken,
)
from support.waiting import until

KEY = ("s", "7")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


async def waits(task: "asyncio.Task[object]", seconds: float = 0.1) -> bool:
    await asyncio.wait([task], timeout=seconds)
    return not task.done()


async def test_a_locked_file_makes_claims_wait_and_ends_wait_until_it_is_free(path: Path) -> None:
    """Given another process that holds the write lock for three seconds."""
    loop = asyncio.get_running_loop()
    async with opened(path) as inbox:
        await taken(inbox, KEY)
        with held_by_another_process(path) as release:
            began = loop.time()
            finishing = asyncio.create_task(inbox.finish(KEY, done=True))
            assert await waits(finishing)
            # Reading goes on: only writing is locked, and nobody knows of it yet.
            await taken(inbox, ("s", "8"))

            await until(lambda: inbox.trouble is not None)
            assert str(inbox.trouble) == f"{path} is locked: another process writes to it"
            claiming = asyncio.create_task(inbox.claim(("s", "9"), 0, BODY))
            await asyncio.sleep(began + 3 - loop.time())
            assert not finishing.done()
            assert not claiming.done()
            release()

            await asyncio.wait_for(finishing, 5)
            assert await asyncio.wait_for(claiming, 5) is Claim.TAKEN
        assert inbox.trouble is None
        assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN


async def test_a_trouble_ends_by_itself_when_nobody_is_left_who_would_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.05)
    async with opened(path) as inbox:
        await taken(inbox, KEY)
        with held_by_another_process(path) as release:
            finishing = asyncio.create_task(inbox.finish(KEY, done=True))
            await until(lambda: inbox.trouble is not None)
            finishing.cancel()
            await asyncio.wait([finishing])
            await asyncio.sleep(1.2 * BUSY_SECONDS)  # what is on its way to the file may succeed
            release()
            await until(lambda: inbox.trouble is None)
        await taken(inbox, KEY)


async def test_a_deleted_folder_is_said_and_consuming_goes_on_when_it_is_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.05)
    home = path.parent / "data"
    home.mkdir()
    async with opened(home / "inbox.db") as inbox:
        await taken(inbox, KEY)
        aside = home.rename(path.parent / "aside")

        finishing = asyncio.create_task(inbox.finish(KEY, done=True))
        claiming = asyncio.create_task(inbox.claim(("s", "8"), 0, BODY))
        await until(lambda: inbox.trouble is not None)
        assert "No such file or directory; put it back, or restart" in str(inbox.trouble)
        assert await waits(finishing)
        assert await waits(claiming)

        aside.rename(home)
        await asyncio.wait_for(finishing, 5)
        assert await asyncio.wait_for(claiming, 5) is Claim.TAKEN
        await until(lambda: inbox.trouble is None)
        assert rows(home / "inbox.db") == [("7", 0, 1)]


async def test_a_folder_that_stays_deleted_does_not_keep_the_process_from_ending(
    path: Path,
) -> None:
    home = path.parent / "data"
    home.mkdir()
    async with opened(home / "inbox.db") as inbox:
        await taken(inbox, KEY)
        shutil.rmtree(home)
        finishing = asyncio.create_task(inbox.finish(KEY, done=True))
        await until(lambda: inbox.trouble is not None)
    await asyncio.wait([finishing], timeout=5)
    assert finishing.cancelled()


async def test_a_full_file_makes_all_wait_until_the_purge_has_made_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a quota of 1 MiB, long ids, and a retention that ends while the inbox is full."""
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.05)
    clock = Clock()
    async with opened(path, quota=1024 * 1024, clock=clock) as inbox:
        count = 0
        batch: list[asyncio.Task[None]] = []
        while inbox.trouble is None:
            batch = [
                asyncio.create_task(handled(inbox, ("s", f"{count + n:0500d}"))) for n in range(64)
            ]
            count += 64
            await asyncio.wait(batch, timeout=0.5)
        waiting = [one for one in batch if not one.done()]
        assert waiting
        assert "is full; raise TIDINGS_INBOX_BYTES" in str(inbox.trouble)
        claiming = asyncio.create_task(inbox.claim(KEY, 0, BODY))
        assert await waits(claiming)

        clock.now += WEEK + 10
        await inbox._purge.walk()

        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert await asyncio.wait_for(claiming, 10) is Claim.TAKEN
        assert inbox.trouble is None


async def test_a_trouble_is_said_seldom(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "AGAIN_SECONDS", 0.01)
    home = path.parent / "data"
    home.mkdir()
    with structlog.testing.capture_logs() as logs:
        async with opened(home / "inbox.db") as inbox:
            await taken(inbox, KEY)
            aside = home.rename(path.parent / "aside")
            finishing = asyncio.create_task(inbox.finish(KEY, done=True))
            await until(lambda: inbox.trouble is not None)
            assert await waits(finishing, 0.3)
            aside.rename(home)
            await finishing
    said = [line["event"] for line in logs]
    assert said.count("inbox_not_written") == 1
    assert said.count("inbox_written_again") == 1
