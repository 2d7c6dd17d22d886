"""The other pure parts of `make safety`: copies, the journal, its ends, settings and the page."""

from datetime import date
from pathlib import Path

import pytest

from benchmarks.amqp import Template
from benchmarks.peers.measuring import MARKER
from benchmarks.peers.safety_events import BAD, NEIGHBOURS, OTHER, TYPE
from benchmarks.safety import copies, journal, page
from benchmarks.safety.contestants import ALL
from benchmarks.safety.experiments import STARTS, ended
from benchmarks.safety.judge import Cell, Verdict
from benchmarks.safety.settings import WHAT, read

BODY = f'{{"id": "{MARKER}", "type": "{TYPE}"}}'.encode()
HEADER = b"\0\x3c\0\0" + len(BODY).to_bytes(8, "big") + f"\x80\0{TYPE} {MARKER}".encode()
SENT = Template("events", TYPE, HEADER, BODY)


def test_neighbours_stand_around_the_bad_event() -> None:
    found = copies.events(SENT, "raises", type_is_key=False)
    names = [*NEIGHBOURS[:3], BAD, *NEIGHBOURS[3:]]
    assert [name.encode() in one.body for name, one in zip(names, found, strict=True)] == [True] * 7
    assert [name.encode() in one.header for name, one in zip(names, found, strict=True)] == [
        True
    ] * 7
    assert {one.routing_key for one in found} == {TYPE}


def test_a_body_that_is_no_json_has_its_size_in_the_header() -> None:
    bad = copies.bad(SENT, "json", type_is_key=False)
    assert bad.body == copies.NOT_JSON
    assert int.from_bytes(bad.header[4:12], "big") == len(copies.NOT_JSON)
    assert bad.header[12:] == HEADER[12:].replace(MARKER.encode(), BAD.encode())


def test_an_unknown_type_reaches_the_queue_unless_the_key_is_the_type() -> None:
    bad = copies.bad(SENT, "unknown", type_is_key=False)
    assert OTHER.encode() in bad.body
    assert OTHER.encode() in bad.header
    assert bad.routing_key == TYPE
    assert copies.bad(SENT, "unknown", type_is_key=True).routing_key == OTHER


def test_only_texts_of_one_length_replace_each_other() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        copies.replaced(SENT, TYPE, "short")


def test_the_journal_leaves_out_a_line_that_is_being_written(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    assert journal.read(file) == []
    file.write_text("began a\nhandled a\nbega", encoding="utf-8")
    assert journal.read(file) == [("began", "a"), ("handled", "a")]


def test_quiet_lasts_from_the_last_change() -> None:
    now = 0.0
    quiet = journal.Quiet(10, lambda: now)
    now = 9.0
    assert not quiet.lasts(1)
    now = 18.9
    assert not quiet.lasts(1)
    now = 19.0
    assert quiet.lasts(1)


def test_an_experiment_ends_when_nothing_more_is_to_come() -> None:
    quiet, silent = journal.Quiet(10, lambda: 0.0), journal.Quiet(0, lambda: 0.0)
    assert ended([], quiet) == ""
    assert "no handler" in ended([], silent)
    assert ended([("handled", name) for name in (*NEIGHBOURS, BAD)], quiet) == "all handled"
    assert f"after {STARTS} starts" in ended([("began", BAD)] * STARTS, quiet)


def test_settings_narrow_a_run_and_keep_its_order() -> None:
    options = read({"SAFETY_ONLY": "celery, tidings", "SAFETY_WHAT": "kill,raises"})
    assert options.only == ("tidings", "celery")
    assert options.what == ("raises", "kill")
    assert not options.write
    assert read({}).what == tuple(WHAT)
    assert read({"SAFETY_WRITE": "1"}).write


def test_a_name_that_is_not_known_ends_the_run() -> None:
    with pytest.raises(SystemExit, match="SAFETY_ONLY: kafka; there are tidings"):
        read({"SAFETY_ONLY": "kafka"})


def cells_with(verdict: Verdict) -> dict[tuple[str, str], Cell]:
    good = {what: Verdict.HANDLED if what == "kill" else Verdict.REASON for what in WHAT}
    cells = {(one.name, what): Cell(good[what], how="seen") for one in ALL for what in WHAT}
    return cells | {("tidings", "crash"): Cell(verdict, how="seen")}


def test_the_goal_is_missed_when_a_cell_of_ours_is_worse() -> None:
    assert page.goal(cells_with(Verdict.REASON)) == (
        "goal: ours all kept, with reason: reached",
        True,
    )
    said, reached = page.goal(cells_with(Verdict.LOOPING))
    assert not reached
    assert said.endswith("missed (event kills the process: looping)")
    assert page.goal({("celery", "kill"): Cell(Verdict.LOST)})[1]


def test_the_page_has_the_day_the_table_and_how_it_was_found_out(tmp_path: Path) -> None:
    file = tmp_path / "safety.md"
    page.write(
        entries=ALL,
        cells=cells_with(Verdict.REASON),
        what=tuple(WHAT),
        where=["- RabbitMQ 4.3.6"],
        day=date(2026, 11, 25),
        path=file,
    )
    text = file.read_text(encoding="utf-8")
    assert "- 2026-11-25\n- RabbitMQ 4.3.6\n" in text
    assert "| tidings    | kept, with reason |" in text
    assert "- **kill -9 in the handler**: kept (handled again). Seen." in text
    assert "Goal: ours all kept, with reason: reached." in text
