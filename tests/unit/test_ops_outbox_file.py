"""`tidings outbox` beside a running producer, after one that died, and on files not ours."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producer.outbox.file import OutboxFile
from producer.outbox.marks import Mark
from producer.outbox.opening import open_file
from support.outboxes import AT, QUOTA, event, filled, ids, outbox, refusal, write


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the settings name."""
    path = tmp_path / "outbox.db"
    monkeypatch.setenv("TIDINGS_OUTBOX", f"sqlite:///{path}")
    return path


@pytest.fixture
def producer(path: Path) -> Iterator[OutboxFile]:
    """A producer that runs: it holds the lock."""
    file = open_file(path, quota=QUOTA)
    yield file
    file.close()


def everything_in(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, without the memory that SQLite's readers share."""
    return {
        one.name: one.read_bytes()
        for one in folder.iterdir()
        if one.is_file() and not one.name.endswith("-shm")
    }


def test_every_action_works_while_the_producer_runs(
    path: Path, producer: OutboxFile, capsys: pytest.CaptureFixture[str]
) -> None:
    write(producer, refusal(1), refusal(2), event(3), Mark("ticker", "1700000000000000"))
    lock = path.with_name(path.name + ".lock").read_bytes()

    for words in (
        ("list",),
        ("list", "--waiting"),
        ("show", "e1", "e3"),
        ("retry", "--id", "e1"),
        ("drop", "--id", "e2", "--yes"),
        ("stats",),
    ):
        assert outbox(*words) == 0
        write(producer, event(100 + len("".join(words))))

    assert path.with_name(path.name + ".lock").read_bytes() == lock
    assert producer.contents().refused == 1


def test_looking_leaves_no_trace(
    path: Path, producer: OutboxFile, capsys: pytest.CaptureFixture[str]
) -> None:
    write(producer, refusal(1), event(2))
    crashed = path.parent / "crashed"
    stopped = path.parent / "stopped"
    for folder in (crashed, stopped):
        folder.mkdir()
    for name in ("outbox.db", "outbox.db-wal"):
        (crashed / name).write_bytes((path.parent / name).read_bytes())
    filled(stopped / "outbox.db", refusal(1), event(2))

    for folder in (crashed, stopped):
        before = everything_in(folder)
        for words in (("list",), ("show", "e1"), ("stats",)):
            assert outbox(*words, "--file", str(folder / "outbox.db")) == 0
        assert everything_in(folder) == before


def test_what_a_producer_that_died_has_committed_is_seen_and_can_be_retried(
    path: Path, producer: OutboxFile, capsys: pytest.CaptureFixture[str]
) -> None:
    write(producer, refusal(1))
    crashed = path.parent / "crashed"
    crashed.mkdir()
    for name in ("outbox.db", "outbox.db-wal"):
        (crashed / name).write_bytes((path.parent / name).read_bytes())
    assert outbox("retry", "--all", "--file", str(crashed / "outbox.db")) == 0
    file = open_file(crashed / "outbox.db", quota=QUOTA)
    assert file.take_back(first=10, most=100, now=AT) == 1
    file.close()


def foreign_text(path: Path) -> None:
    path.write_text("dear diary\n" * 20)


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()


def damaged(path: Path) -> None:
    filled(path, *(refusal(number) for number in range(1, 500)))
    content = bytearray(path.read_bytes())
    content[4096 * 5 : 4096 * 6] = b"\x5a" * 4096
    path.write_bytes(content)


def newer(path: Path) -> None:
    filled(path, refusal(1))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def newer_in_the_log_only(path: Path) -> None:
    filled(path.with_name("first.db"), refusal(1))
    connection = sqlite3.connect(path.with_name("first.db"))
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    for suffix in ("", "-wal", "-shm"):
        copy = path.with_name("first.db" + suffix).read_bytes()
        path.with_name(path.name + suffix).write_bytes(copy)
    connection.close()


def empty(path: Path) -> None:
    path.touch()


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (foreign_text, "is no SQLite file"),
        (foreign_database, "is the database of another program"),
        (damaged, "is damaged"),
        (newer, "was written by a newer Tidings (format 99"),
        (newer_in_the_log_only, "was written by a newer Tidings (format 99"),
        (empty, "is empty"),
        (missing, "there is no file"),
        (Path.mkdir, "cannot read"),
    ],
)
@pytest.mark.parametrize("action", ["list", "show e1", "retry --all", "drop --all --yes", "stats"])
def test_what_is_no_outbox_of_ours_is_one_line_and_left_as_it_is(
    path: Path, capsys: pytest.CaptureFixture[str], make: Any, problem: str, action: str
) -> None:
    make(path)
    before = everything_in(path.parent)

    for words, named in (((), "TIDINGS_OUTBOX"), (("--file", str(path)), "--file")):
        assert outbox(*action.split(), *words) == 78
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert said.err.startswith(f"tidings: {named}: ")
        assert problem in said.err

    assert everything_in(path.parent) == before


def test_a_file_that_stays_locked_is_one_line(
    path: Path, producer: OutboxFile, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write(producer, refusal(1))
    monkeypatch.setattr("producer.outbox.visiting.BUSY_SECONDS", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert outbox("list", "--json") == 0
    capsys.readouterr()
    assert outbox("retry", "--all") == 1
    other.close()
    assert capsys.readouterr().err == (
        f"tidings: {path} is busy: its producer writes all the time; try again\n"
    )


def test_an_outbox_in_memory_has_nothing_to_look_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_OUTBOX", "memory")
    assert outbox("stats") == 78
    said = capsys.readouterr().err
    assert said.startswith("tidings: the outbox is in memory, so there is nothing to look at")
    assert said.count("\n") == 1


def test_the_file_may_be_the_one_in_the_data_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "outbox.db", refusal(1))
    monkeypatch.setenv("TIDINGS_DATA", str(tmp_path))
    assert ids(capsys) == ["e1"]
