"""The crash points of an inbox on disk: processes that end with SIGKILL around the commit."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumer.inbox.claim import Claim
from support.inboxes import BODY, ROOT, opened, rows, taken

KILLED = -signal.SIGKILL
EFFECTS = "SELECT id FROM effects ORDER BY id"

PROGRAM = """
import asyncio, os, signal, sys, time
from pathlib import Path
from consumer.inbox.claim import Claim
from support.inboxes import BODY, opened, taken

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

async def plain(inbox, key):
    if await inbox.claim(key, 0, BODY) is Claim.TAKEN:
        await inbox.finish(key, done=True)

async def transactional(inbox, key, *, before=lambda: None):
    if await inbox.claim(key, 0, BODY) is not Claim.TAKEN:
        return
    async with inbox.transaction(key) as begun:
        if begun.claim is Claim.TAKEN:
            tx = begun.transaction
            tx.execute("CREATE TABLE IF NOT EXISTS effects (id TEXT PRIMARY KEY)")
            tx.execute("INSERT INTO effects VALUES (?)", (key[1],))
            before()
            assert await begun.end(None) is None

async def main(path, how):
    async with opened(Path(path), clock=time.time) as inbox:
        key = ("s", "7")
        if how == "before the commit":
            await transactional(inbox, key, before=kill)
        elif how == "after the commit":
            await transactional(inbox, key)
            kill()
        elif how == "in hand":
            await taken(inbox, key)
            kill()
        elif how == "finished":
            await plain(inbox, key)
            kill()
        work = plain if how == "many" else transactional
        async def go_on(lane):
            for number in range(1_000_000):
                name = f"{lane}-{number}"
                await work(inbox, ("s", name))
                print(name, flush=True)
        await asyncio.gather(*(go_on(lane) for lane in range(16)))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


@contextmanager
def program(
    path: Path, how: str, *, said: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run it; what it says of finished events goes into a file beside."""
    with (said or path.with_suffix(".said")).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), how],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": ""},
            stdout=output,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def killed(path: Path, how: str) -> None:
    with program(path, how) as process:
        assert process.wait(30) == KILLED


def killed_when(path: Path, how: str, enough: Callable[[list[str]], bool]) -> set[str]:
    """Kill it in the middle of its work; return the events that it said were finished."""
    said = path.with_suffix(".said")
    with program(path, how):
        deadline = time.monotonic() + 30
        while not enough(said.read_text().split("\n")):
            assert time.monotonic() < deadline
            time.sleep(random.random() / 50)
    return set(said.read_text().split("\n")[:-1])


async def test_i1_before_the_commit_all_of_it_is_undone_and_runs_again(path: Path) -> None:
    killed(path, "before the commit")
    async with opened(path, clock=time.time) as inbox:
        assert rows(path) == []
        assert rows(path, "SELECT count(*) FROM sqlite_master WHERE name = 'effects'") == [(0,)]
        await taken(inbox, ("s", "7"))


async def test_i1_an_event_that_was_in_hand_runs_again(path: Path) -> None:
    killed(path, "in hand")
    async with opened(path, clock=time.time) as inbox:
        await taken(inbox, ("s", "7"))


@pytest.mark.parametrize("attempt", range(3))
async def test_i2_at_whatever_moment_an_event_and_its_effect_are_there_or_neither(
    path: Path, attempt: int
) -> None:
    finished = killed_when(path, "many transactions", lambda said: len(said) > 20 * (attempt + 1))

    kept = {identity for (identity,) in rows(path, "SELECT id FROM seen")}
    assert kept == {identity for (identity,) in rows(path, EFFECTS)}
    assert finished <= kept
    async with opened(path, clock=time.time) as inbox:
        for identity in kept:
            assert await inbox.claim(("s", identity), 0, BODY) is Claim.SEEN
        await taken(inbox, ("s", "another"))


@pytest.mark.parametrize("attempt", range(3))
async def test_i2_what_finish_has_returned_for_is_kept_at_whatever_moment(
    path: Path, attempt: int
) -> None:
    finished = killed_when(path, "many", lambda said: len(said) > 300 * (attempt + 1))

    assert len(finished) > 300
    async with opened(path, clock=time.time) as inbox:
        for identity in finished:
            assert await inbox.claim(("s", identity), 0, BODY) is Claim.SEEN


@pytest.mark.parametrize("how", ["after the commit", "finished"])
async def test_i3_after_the_commit_it_is_found_and_not_run_again(path: Path, how: str) -> None:
    killed(path, how)
    async with opened(path, clock=time.time) as inbox:
        assert await inbox.claim(("s", "7"), 0, BODY) is Claim.SEEN
    assert rows(path) == [("7", 0, 1)]


def test_i4_two_processes_that_run_the_same_events_have_each_effect_once(path: Path) -> None:
    """The key of the effects would refuse a second one, and end that process with an error."""
    too = path.with_suffix(".too")
    with (
        program(path, "many transactions") as one,
        program(path, "many transactions", said=too) as other,
    ):
        deadline = time.monotonic() + 30
        while len(too.read_text().split()) < 300:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (one.poll(), other.poll()) == (None, None)
    assert rows(path, EFFECTS) == rows(path, "SELECT id FROM seen ORDER BY id")


async def test_i6_a_copy_that_could_not_be_published_leaves_its_event_to_run_again(
    path: Path,
) -> None:
    """The copy may be there twice then: both have the same hop, and the second is seen."""
    async with opened(path, clock=time.time) as inbox:
        await taken(inbox, ("s", "7"))
        inbox.forget(("s", "7"))
        await taken(inbox, ("s", "7"))
        await inbox.finish(("s", "7"), done=False)
        await taken(inbox, ("s", "7"), hop=1)
        await inbox.finish(("s", "7"), done=True)
        assert await inbox.claim(("s", "7"), 1, BODY) is Claim.SEEN
