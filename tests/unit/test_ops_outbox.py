"""`tidings outbox list|show|stats`: what an outbox on disk holds, for people and programs."""

from pathlib import Path

import pytest

from producer.outbox.marks import Mark
from support.outboxes import TOO_LARGE, event, filled, ids, objects, outbox, refusal

RED = "\x1b[31m"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the settings name."""
    path = tmp_path / "outbox.db"
    monkeypatch.setenv("TIDINGS_OUTBOX", f"sqlite:///{path}")
    return path


def test_a_list_has_the_set_aside_events_newest_last(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path, refusal(2), refusal(1, "order.paid", "no such exchange"), event(3))

    assert outbox("list", "--json") == 0

    assert objects(capsys) == [
        {
            "number": 1,
            "id": "e1",
            "type": "order.paid",
            "accepted": "2023-11-14T22:13:21.123Z",
            "refused": "2023-11-14T23:13:21.123Z",
            "reason": "no such exchange",
            "again": False,
            "bytes": 11,
        },
        {
            "number": 2,
            "id": "e2",
            "type": "order.created",
            "accepted": "2023-11-14T22:13:22.123Z",
            "refused": "2023-11-14T23:13:22.123Z",
            "reason": TOO_LARGE,
            "again": False,
            "bytes": 11,
        },
    ]


def test_a_list_of_those_that_wait_has_no_refusals(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path, refusal(1), event(2), event(3, "order.paid"))
    assert outbox("list", "--waiting", "--json") == 0
    assert objects(capsys)[1] == {
        "number": 3,
        "id": "e3",
        "type": "order.paid",
        "accepted": "2023-11-14T22:13:23.123Z",
        "bytes": 11,
    }
    assert ids(capsys, "--waiting", "--id", "e2") == ["e2"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ["e1", "e2", "e3", "e4"]),
        (("--id", "e2", "--id", "e4", "--id", "e9"), ["e2", "e4"]),
        (("--type", "order.*"), ["e1", "e3", "e4"]),
        (("--type", "order.paid"), ["e3"]),
        (("--reason", TOO_LARGE), ["e1", "e2"]),
        (("--reason", "* bytes; *"), ["e1", "e2", "e3"]),
        (("--reason", "odd [name]"), ["e4"]),
        (("--type", "order.*", "--limit", "2"), ["e1", "e3"]),
        (("--type", "nothing"), []),
    ],
)
def test_filters_pick_what_meets_all_of_them(
    path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], found: list[str]
) -> None:
    filled(
        path,
        refusal(1),
        refusal(2, "mail.sent"),
        refusal(3, "order.paid", "5000 bytes; the broker takes 1000 at most"),
        refusal(4, "order.created", "odd [name]"),
    )
    assert ids(capsys, *words) == found


def test_a_person_sees_some_and_how_many_there_are_of_each_kind(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [refusal(number) for number in range(1, 1201)]
    filled(path, *many, refusal(1201, "mail.sent", "no such exchange"))

    assert outbox("list") == 0

    lines = capsys.readouterr().out.splitlines()
    assert sum("e" + str(number) in line.split() for line in lines for number in range(99)) == 20
    assert "… and 1181 more; --limit and --json show them" in lines
    assert "1201 set-aside events" in lines
    counts = lines[lines.index("1201 set-aside events") :]
    assert [line.split()[0] for line in counts if "2023" in line] == ["1200", "1"]
    assert len(ids(capsys)) == 1201


def test_more_reasons_than_can_be_told_apart_are_counted_as_others(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path, *(refusal(number, reason=f"{number} bytes") for number in range(1, 1101)))
    assert outbox("list") == 0
    said = capsys.readouterr().out
    assert "1100 set-aside events" in said
    assert "(others)" in said


def test_an_empty_list_says_so_and_is_no_failure(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    assert outbox("list") == 0
    assert outbox("list", "--waiting") == 0
    assert capsys.readouterr() == ("", "no set-aside events found\nno waiting events found\n")


# show


def test_show_prints_the_whole_record(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(path, refusal(1), event(2))

    assert outbox("show", "e1") == 0
    said = capsys.readouterr().out
    assert outbox("show", "e1", "e2", "--json") == 0
    aside, waiting = objects(capsys)

    for fact in ("set aside", TOO_LARGE, "events", "/shop", "traceparent: 00-abc", '"order": 1'):
        assert fact in said
    assert aside["body"] == '{"order":1}'
    assert aside["headers"] == {"traceparent": "00-abc-def-01"}
    assert aside["properties"]["message_id"] == "e1"
    assert (aside["exchange"], aside["routing_key"]) == ("events", "order.created")
    assert (aside["state"], aside["reason"]) == ("set aside", TOO_LARGE)
    assert (waiting["state"], waiting["id"]) == ("waiting", "e2")
    assert "reason" not in waiting


def test_a_body_that_is_no_text_is_shown_as_base64(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path, event(1, body=b"\xff\x00"))
    assert outbox("show", "e1", "--json") == 0
    (found,) = objects(capsys)
    assert found["body_base64"] == "/wA="
    assert "body" not in found


def test_an_unknown_id_is_named_and_fails_if_it_is_the_only_one(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path, refusal(1))
    assert outbox("show", "e9") == 1
    assert capsys.readouterr() == ("", "neither set aside nor waiting: e9\n")
    assert outbox("show", "e9", "e1") == 0
    assert capsys.readouterr().err == "neither set aside nor waiting: e9\n"


def test_what_a_sender_wrote_draws_on_no_terminal(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = event(1, RED, body=f"{RED}\x07".encode(), id_="\x9b31m")
    filled(path, hostile._replace(number=2), refusal(3, RED, RED), Mark(RED, RED))
    for words in (
        ("list",),
        ("list", "--waiting"),
        ("show", "\x9b31m", "e3"),
        ("show", "\x07"),
        ("stats",),
        ("list", "--json"),
        ("stats", "--json"),
        ("drop", "--all", "--yes"),
    ):
        outbox(*words)
        shown = "".join(capsys.readouterr())
        assert [c for c in shown if not c.isprintable() and c != "\n"] == []


def test_stats_count_everything(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(
        path,
        refusal(1),
        refusal(2),
        refusal(3, reason="no such exchange"),
        event(4),
        event(5),
        Mark("ticker", "1700000000000000"),
        Mark("orders", '{"after": 17}'),
        Mark("lines", "42"),
    )
    outbox("retry", "e1")

    assert outbox("stats") == 0
    said = capsys.readouterr().out
    assert outbox("stats", "--json") == 0
    (found,) = objects(capsys)

    assert found["oldest_seconds"] > 0
    assert found["bytes"] > 4096
    assert found["free_disk_bytes"] > 0
    assert {
        name: found[name]
        for name in ("file", "waiting", "oldest", "set_aside", "to_be_tried_again", "reasons")
    } == {
        "file": str(path),
        "waiting": 2,
        "oldest": "2023-11-14T22:13:24.123Z",
        "set_aside": 3,
        "to_be_tried_again": 1,
        "reasons": {TOO_LARGE: 2, "no such exchange": 1},
    }
    assert found["marks"] == {
        "ticker": {"value": 1_700_000_000_000_000, "time": "2023-11-14T22:13:20.000Z"},
        "orders": {"value": {"after": 17}, "time": None},
        "lines": {"value": 42, "time": None},
    }
    for fact in ("3, 1 of them to be tried again", "22:13:20.000Z", '{"after": 17}', " 42"):
        assert fact in said


def test_stats_of_an_empty_outbox(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(path)
    assert outbox("stats") == 0
    assert "waiting       0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("retry", "say which ones"),
        ("drop --yes", "say which ones"),
        ("show", "ID"),
        ("list --waiting --reason x", "those that wait have no --reason"),
        ("drop --waiting --all", "--waiting"),
    ],
)
def test_wrong_usage_is_said_and_exits_2(
    path: Path, capsys: pytest.CaptureFixture[str], line: str, problem: str
) -> None:
    filled(path)
    with pytest.raises(SystemExit) as ended:
        outbox(*line.split())
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
