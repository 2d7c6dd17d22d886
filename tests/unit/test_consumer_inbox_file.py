"""The file of the inbox: what it says of an event, and which files are refused untouched."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.errors import ConfigError
from consumer.inbox.claim import Finished, content_of
from consumer.inbox.file import NoRoom, Row, Unusable
from consumer.inbox.opening import InboxFile, open_file
from producer.outbox import opening as outbox
from support.inboxes import GROUP, QUOTA, ROOT, rows

CONTENT, OTHER = content_of(b"{}"), content_of(b"[]")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


def opened(path: Path, *, group: str = GROUP, quota: int = QUOTA) -> InboxFile:
    return open_file(path, group=group, quota=quota)


def close(file: InboxFile) -> None:
    file.handlers.close()
    file.writer.close()
    file.reader.close()


@pytest.fixture
def file(path: Path) -> Iterator[InboxFile]:
    file = opened(path)
    yield file
    close(file)


def row(identity: str, hop: int = 0, *, done: bool = True, content: bytes = CONTENT) -> Row:
    return Row(("s", identity), hop, content, done, at=1000)


def test_what_was_written_is_found_when_the_file_is_opened_again(path: Path) -> None:
    first = opened(path)
    first.writer.write([row("1"), row("2", hop=3, done=False)])
    close(first)

    again = opened(path)

    assert again.reader.find([("s", "2"), ("s", "9"), ("s", "1")]) == [
        Finished(3, CONTENT, done=False),
        None,
        Finished(0, CONTENT, done=True),
    ]
    close(again)


def test_the_last_that_was_heard_counts_whoever_wrote_it_last(file: InboxFile) -> None:
    """Given a copy that moved, one that is done, and two late words about older copies."""
    file.writer.write([row("1", hop=0, done=False)])
    file.writer.write([row("1", hop=2, done=True)])
    file.writer.write([row("1", hop=1, done=False)])
    file.writer.write([row("1", hop=9, content=OTHER)])

    assert file.reader.find([("s", "1")]) == [Finished(2, CONTENT, done=True)]


def test_groups_that_share_a_file_know_nothing_of_each_other(path: Path, file: InboxFile) -> None:
    other = opened(path, group="mail")
    file.writer.write([row("1")])

    assert other.reader.find([("s", "1")]) == [None]
    assert other.reader.walk(("", ""), 10**10, 100).old == []
    close(other)


def test_a_walk_finds_what_is_old_in_steps_and_removes_it_unless_it_was_renewed(
    path: Path, file: InboxFile
) -> None:
    file.writer.write([row(str(number))._replace(at=number) for number in range(10)])

    first = file.reader.walk(("", ""), 3, 6)
    assert first.old == [("s", "0"), ("s", "1"), ("s", "2")]
    assert first.last == ("s", "5")
    second = file.reader.walk(first.last, 3, 6)
    assert second == ([], None)

    file.writer.write([row("1")._replace(at=9)])
    file.writer.remove(first.old, 3)
    assert [one[0] for one in rows(path)] == ["1", *"3456789"]


def test_a_walk_reads_no_more_than_its_step(path: Path, file: InboxFile) -> None:
    plan = rows(
        path,
        "EXPLAIN QUERY PLAN SELECT source, id, at FROM seen WHERE group_name = 'g' "
        "AND (source, id) > ('a', 'b') ORDER BY source, id LIMIT 5",
    )

    assert "SEARCH seen USING PRIMARY KEY (group_name=? AND (source,id)>(?,?))" in str(plan)


def test_at_the_quota_nothing_is_written_and_what_is_old_is_still_removed(path: Path) -> None:
    file = opened(path, quota=1024 * 1024)
    written = 0
    problem: NoRoom | None = None
    while problem is None:
        try:
            file.writer.write([row(f"{written + n:0400d}") for n in range(100)])
            written += 100
        except NoRoom as error:
            problem = error
    assert "TIDINGS_INBOX_BYTES" in str(problem)
    assert written > 1000
    with pytest.raises(NoRoom):
        file.writer.write([])

    file.writer.remove([("s", f"{n:0400d}") for n in range(written // 2)], 2000)

    file.writer.write([])
    file.writer.write([row(f"{written + n:0400d}") for n in range(100)])
    close(file)


def test_a_file_that_is_gone_or_another_one_is_noticed(path: Path, file: InboxFile) -> None:
    """SQLite itself would go on with a file that has no name, and nobody would find it again."""
    moved = path.with_name("moved.db")
    path.rename(moved)
    with pytest.raises(Unusable, match="No such file"):
        file.writer.write([row("1")])
    with pytest.raises(Unusable, match="No such file"):
        file.reader.find([])
    path.touch()
    with pytest.raises(Unusable, match="not the file that was opened"):
        file.writer.write([row("1")])

    moved.replace(path)
    file.writer.write([row("1")])
    assert rows(path) == [("1", 0, 1)]


def test_what_events_are_called_is_for_nobody_else_to_read(path: Path, file: InboxFile) -> None:
    file.writer.write([row("1")])

    for one in path.parent.iterdir():
        assert stat.S_IMODE(one.stat().st_mode) == 0o600, one


OPENING = """
import sys
from pathlib import Path
from consumer.inbox.claim import content_of
from consumer.inbox.file import Row
from consumer.inbox.opening import open_file
sys.stdin.readline()
file = open_file(Path(sys.argv[1]), group="shop", quota=10**7)
file.writer.write([Row(("s", sys.argv[2]), 0, content_of(b""), True, 1)])
"""


def test_consumers_that_start_at_the_same_time_make_one_file(path: Path) -> None:
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, str(path), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in starting] == [b""] * 4

    assert rows(path, "SELECT count(*) FROM seen") == [(4,)]


def foreign_text(path: Path) -> None:
    path.write_text("these are my accounts\n" * 10, encoding="utf-8")


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE accounts (name)")
    database.close()


def file_of_an_outbox(path: Path) -> None:
    outbox.open_file(path, quota=QUOTA).close()


def newer_format(path: Path) -> None:
    close(opened(path))
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def cut_off(path: Path) -> None:
    file = opened(path)
    file.writer.write([row(f"{number:0300d}") for number in range(100)])
    close(file)
    os.truncate(path, 3 * 4096 + 100)


def scribbled_over(path: Path) -> None:
    file = opened(path)
    file.writer.write([row(f"{number:0300d}") for number in range(100)])
    close(file)
    with path.open("r+b") as raw:
        raw.seek(4096)
        raw.write(os.urandom(8192))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (foreign_text, "no SQLite file, so it is not our inbox"),
        (foreign_database, "another program"),
        (file_of_an_outbox, "another program"),
        (newer_format, "newer Tidings"),
        (cut_off, "damaged|cannot be used"),
        (scribbled_over, "damaged|cannot be used"),
    ],
)
def test_a_file_that_is_not_ours_or_not_whole_is_refused_untouched(
    path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(path)
    before = path.read_bytes()

    with pytest.raises(ConfigError, match=f"TIDINGS_INBOX: .*({said})") as caught:
        opened(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_an_outbox_does_not_take_an_inbox_for_its_own(path: Path) -> None:
    close(opened(path))

    with pytest.raises(ConfigError, match=r"TIDINGS_OUTBOX: .* another program"):
        outbox.open_file(path, quota=QUOTA)


def test_a_folder_that_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory; name a file in a folder"):
        opened(tmp_path / "missing" / "inbox.db")
