"""The file of the outbox: what a transaction does, and which files are refused untouched."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.message import Message, Publishing
from producer.outbox.file import Batch, NoRoom, OutboxFile, Refusal, Stored
from producer.outbox.marks import Mark
from producer.outbox.opening import open_file
from producer.outbox.rows import publishing_of, row_of

QUOTA = 64 * 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def file(path: Path) -> Iterator[OutboxFile]:
    file = open_file(path, quota=QUOTA)
    yield file
    file.close()


HOLDING = """
import sys
from pathlib import Path
from producer.outbox.opening import open_file
file = open_file(Path(sys.argv[1]), quota=10**7)
print("open", flush=True)
sys.stdin.read()
"""


def stored(number: int, size: int = 10) -> Stored:
    message = Message(b"x" * size, message_id=f"id-{number}", type="order.created")
    return Stored(number, 1000.0 + number, row_of(Publishing("events", "order.created", message)))


def numbers(file: OutboxFile, after: int = 0) -> list[int]:
    return [one.number for one in file.load(after, 100, QUOTA)]


@pytest.mark.parametrize(
    "publishing",
    [
        Publishing("events", "a", Message(b"{}")),
        Publishing(
            "events.delay.v1.8s",
            "order.created",
            Message(
                bytes(range(256)),
                content_type="application/cloudevents+json",
                message_id="é\u2028",
                type="order.created",
                app_id="shop",
                timestamp=1_767_225_600,
                priority=7,
                headers={"traceparent": "00-ab-cd-01", "tidings-slot": 63},
            ),
            expiration=7.5,
        ),
    ],
)
def test_a_publishing_is_read_back_as_it_was_written(publishing: Publishing) -> None:
    assert publishing_of(row_of(publishing)) == publishing


def test_what_was_committed_is_there_when_the_file_is_opened_again(path: Path) -> None:
    """Given events, a refusal and a mark; when it is opened anew, all of it is there in order."""
    first = open_file(path, quota=QUOTA)
    first.commit(
        Batch(
            accepted=[stored(1), stored(2), stored(3)],
            refusals=[Refusal(stored(4), "too large", 5.0)],
            marks=[Mark("ticker", "17")],
        )
    )
    first.close()

    again = open_file(path, quota=QUOTA)
    found = again.contents()

    assert (found.waiting, found.last_number, found.oldest, found.refused) == (3, 4, 1001.0, 1)
    assert found.marks == {"ticker": "17"}
    assert again.load(0, 100, QUOTA) == [stored(1), stored(2), stored(3)]
    again.close()


def test_confirmed_events_are_removed_whatever_runs_they_make(file: OutboxFile) -> None:
    file.commit(Batch(accepted=[stored(number) for number in range(1, 11)]))

    file.commit(Batch(confirmed=[7, 1, 3, 2, 99]))

    assert numbers(file) == [4, 5, 6, 8, 9, 10]


def test_reading_goes_on_after_a_number_and_stops_at_a_bound(file: OutboxFile) -> None:
    file.commit(Batch(accepted=[stored(number, size=1000) for number in range(1, 11)]))

    assert numbers(file, after=7) == [8, 9, 10]
    assert [one.number for one in file.load(0, 2, QUOTA)] == [1, 2]
    assert [one.number for one in file.load(0, 100, 2500)] == [1, 2, 3]


def test_at_the_quota_nothing_is_added_and_what_is_confirmed_is_still_removed(path: Path) -> None:
    """Given a full file; then adding fails as a whole, removing works, and there is room again."""
    file = open_file(path, quota=1024 * 1024)
    full = False
    for number in range(1, 1000):
        try:
            file.commit(Batch(accepted=[stored(number, size=50_000)]))
        except NoRoom:
            full = True
            break
    assert full
    held = file.contents().waiting
    assert held >= 10

    with pytest.raises(NoRoom):
        file.commit(Batch(confirmed=[1], accepted=[stored(5000, size=500_000)]))
    assert file.contents().waiting == held

    file.commit(Batch(confirmed=list(range(1, held))))
    file.commit(Batch(accepted=[stored(6000, size=50_000)]))
    assert numbers(file) == [held, 6000]
    file.close()


def test_what_a_person_wants_tried_again_becomes_an_event_again(path: Path) -> None:
    file = open_file(path, quota=QUOTA)
    file.commit(Batch(refusals=[Refusal(stored(one), "no", 5.0) for one in (1, 2, 3)]))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE refused SET again = 1 WHERE number IN (1, 3)")
    other.close()

    assert file.take_back(10, 100, 99.0) == 2

    assert [(one.number, one.row) for one in file.load(0, 100, QUOTA)] == [
        (10, stored(1).row),
        (11, stored(3).row),
    ]
    assert file.count_refused() == 1
    assert file.take_back(20, 100, 99.0) == 0
    file.close()


def test_a_file_serves_one_process_and_the_second_is_told_which(path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDING,
            str(path),
        ],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"

        with pytest.raises(ConfigError, match=rf"in use by process {holder.pid};"):
            open_file(path, quota=QUOTA)

        holder.kill()  # the lock goes with the process
        holder.wait()
        open_file(path, quota=QUOTA).close()


def foreign_text(path: Path) -> None:
    path.write_text("these are my accounts\n" * 10, encoding="utf-8")


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE accounts (name)")
    database.close()


def database_of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA application_id = 4711")
        database.execute("CREATE TABLE accounts (name)")
    database.close()


def newer_format(path: Path) -> None:
    open_file(path, quota=QUOTA).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def cut_off(path: Path) -> None:
    file = open_file(path, quota=QUOTA)
    file.commit(Batch(accepted=[stored(number, size=3000) for number in range(1, 50)]))
    file.close()
    os.truncate(path, 3 * 4096 + 100)


def scribbled_over(path: Path) -> None:
    file = open_file(path, quota=QUOTA)
    file.commit(Batch(accepted=[stored(number, size=3000) for number in range(1, 50)]))
    file.close()
    with path.open("r+b") as raw:
        raw.seek(4096)
        raw.write(os.urandom(8192))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (foreign_text, "no SQLite file"),
        (foreign_database, "another program"),
        (database_of_another_program, "another program"),
        (newer_format, "newer Tidings"),
        (cut_off, "damaged|cannot be used"),
        (scribbled_over, "damaged|cannot be used"),
    ],
)
def test_a_file_that_is_not_ours_or_not_whole_is_refused_untouched(
    path: Path, make: "object", said: str
) -> None:
    make(path)  # type: ignore[operator] # one of the functions above
    before = path.read_bytes()

    with pytest.raises(ConfigError, match=said) as caught:
        open_file(path, quota=QUOTA)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_folder_that_is_missing_or_closed_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make the folder"):
        open_file(tmp_path / "missing" / "outbox.db", quota=QUOTA)
