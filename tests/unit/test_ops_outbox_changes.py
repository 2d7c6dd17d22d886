"""`tidings outbox retry|drop`: events that were set aside are sent again, or given up."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.outbox import change
from producer.outbox.file import OutboxFile
from producer.outbox.opening import open_file
from support.outboxes import AT, QUOTA, event, filled, ids, objects, outbox, refusal, write


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


def test_what_is_retried_is_taken_back_by_the_producer_that_runs(
    producer: OutboxFile, capsys: pytest.CaptureFixture[str]
) -> None:
    write(producer, *(refusal(number) for number in range(1, 4)))

    assert outbox("retry", "e1", "--id", "e3") == 0

    assert capsys.readouterr().err == (
        "2 set-aside events will be sent again: by a running producer within 5 s, by one that "
        "does not run when it starts\n"
    )
    assert outbox("list", "--json") == 0
    assert [one["again"] for one in objects(capsys)] == [True, False, True]
    assert producer.take_back(first=10, most=100, now=AT) == 2
    assert [stored.number for stored in producer.load(0, 10, 1000)] == [10, 11]
    assert ids(capsys, "--waiting") == ["e1", "e3"]
    assert ids(capsys) == ["e2"]


def test_what_is_retried_is_taken_back_by_a_producer_that_starts_later(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path, *(refusal(number) for number in range(1, 1201)))
    assert outbox("retry", "--all", "--json") == 0
    assert sum(one["again"] for one in objects(capsys)) == 1200
    file = open_file(path, quota=QUOTA)
    assert file.take_back(first=2000, most=5000, now=AT) == 1200
    file.close()


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("--type", "order.*"), ["e2"]),
        (("--reason", "no *"), ["e1", "e3"]),
        (("--all", "--limit", "2"), ["e3"]),
        (("--id", "e9"), ["e1", "e2", "e3"]),
    ],
)
@pytest.mark.parametrize("action", [("retry",), ("drop", "--yes")])
def test_only_what_matches_is_retried_or_dropped(
    producer: OutboxFile,
    capsys: pytest.CaptureFixture[str],
    action: tuple[str, ...],
    words: tuple[str, ...],
    left: list[str],
) -> None:
    write(producer, refusal(1), refusal(2, "mail.sent", "no such exchange"), refusal(3))
    assert outbox(*action, *words) == 0
    producer.take_back(first=10, most=100, now=AT)
    assert ids(capsys) == left


# drop


def test_what_is_dropped_is_gone_and_what_waits_is_not(
    producer: OutboxFile, capsys: pytest.CaptureFixture[str]
) -> None:
    write(producer, *(refusal(number) for number in range(1, 1001)), event(1001))

    assert outbox("drop", "--all", "--yes") == 0

    said = capsys.readouterr()
    assert "1000 set-aside events" in said.out
    assert said.err == "dropped 1000 set-aside events\n"
    assert ids(capsys) == []
    assert ids(capsys, "--waiting") == ["e1001"]
    assert producer.count_refused() == 0


def test_what_is_dropped_can_be_kept_elsewhere_as_json(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path, refusal(1), refusal(2))
    assert outbox("drop", "e2", "--yes", "--json") == 0
    assert [one["id"] for one in objects(capsys)] == ["e2"]


def test_nothing_is_dropped_without_a_yes(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, refusal(1))
    with Path("/dev/null").open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert outbox("drop", "--all") == 1
    assert "say --yes\nnothing dropped\n" in capsys.readouterr().err
    assert ids(capsys) == ["e1"]


def test_what_comes_while_the_question_is_open_is_not_dropped(
    producer: OutboxFile, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(producer, refusal(1), refusal(5))

    async def confirmed(text: str, stop: object) -> bool:
        assert text == "Drop 2 set-aside events for ever? [y/N] "
        write(producer, refusal(6), refusal(4)._replace(refused_at=AT + 9999))
        return True

    monkeypatch.setattr(change, "confirmed", confirmed)
    assert outbox("drop", "--all") == 0
    assert ids(capsys) == ["e4", "e6"]
