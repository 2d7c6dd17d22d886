"""From what an experiment of `make safety` left behind to a cell of its table."""

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.peers.safety_events import BAD, NEIGHBOURS
from benchmarks.safety.contestants import ALL, Entry
from benchmarks.safety.hosts import Message
from benchmarks.safety.journal import Line
from benchmarks.safety.judge import Cell, Seen, Verdict, judge

PEER = Entry("peer", "work", (), waiting=(".DQ",))
ALL_HANDLED: list[Line] = [("handled", name) for name in NEIGHBOURS]
DEAD_OF_BROKER = {"x-death": [{"reason": "rejected", "queue": "work"}]}


def lies_in(
    queue: str, name: str = BAD, headers: Mapping[str, Any] | None = None, text: str = ""
) -> Message:
    return Message(queue, f'{{"id": "{name}"{text}}}'.encode(), {"headers": dict(headers or {})})


def judged(*messages: Message, lines: list[Line] | None = None, what: str = "raises") -> Cell:
    journal = ALL_HANDLED if lines is None else lines
    return judge(PEER, Seen(what, journal, messages, ["work", "work.dead"], 1, "quiet"))


def test_in_no_queue_and_not_handled_is_lost() -> None:
    cell = judged()
    assert cell.text == "lost"
    assert "in none of the queues work, work.dead" in cell.how


def test_set_aside_with_its_error_is_kept_with_reason() -> None:
    cell = judged(lies_in("work.dead", headers={"tidings-reason": "malformed"}))
    assert cell.text == "kept, with reason"
    assert "found in `work.dead` (says malformed)" in cell.how


def test_an_error_in_the_message_itself_is_a_reason() -> None:
    text = ', "options": {"traceback": "Traceback:\\n  line\\nValueError: no"}'
    cell = judged(lies_in("work.XQ", text=text))
    assert cell.verdict is Verdict.REASON
    assert "says ValueError: no" in cell.how


def test_that_it_was_delivered_too_often_is_a_reason_and_rejected_is_none() -> None:
    limit = {"x-death": [{"reason": "delivery_limit"}]}
    assert judged(lies_in("work.dead", headers=limit)).verdict is Verdict.REASON
    cell = judged(lies_in("work.dead", headers=DEAD_OF_BROKER))
    assert cell.verdict is Verdict.KEPT
    assert "the broker notes only rejected" in cell.how


def test_in_a_queue_that_it_comes_back_from_it_is_retried() -> None:
    assert judged(lies_in("work.DQ")).verdict is Verdict.RETRYING


def test_taken_up_often_and_in_its_queue_again_is_a_loop() -> None:
    began: list[Line] = [("began", BAD)]
    assert judged(lies_in("work"), lines=ALL_HANDLED + began * 3).verdict is Verdict.LOOPING
    assert judged(lies_in("work"), lines=ALL_HANDLED + began * 2).verdict is Verdict.KEPT


def test_a_loop_that_no_handler_sees_is_one_by_the_brokers_count() -> None:
    assert judged(lies_in("work", headers={"x-delivery-count": 9})).verdict is Verdict.LOOPING


def test_handled_by_the_next_process_is_kept() -> None:
    cell = judged(lines=[*ALL_HANDLED, ("handled", BAD)], what="kill")
    assert cell.text == "kept (handled again)"


def test_neighbours_are_told_apart_by_what_became_of_them() -> None:
    _, second, third, fourth, *rest = NEIGHBOURS
    cell = judged(
        lies_in("work.dead", second),
        lies_in("work.dead", third),
        lies_in("work", fourth),
        lines=[("handled", name) for name in rest],
    )
    assert (
        cell.neighbours == "1 neighbour lost, 2 neighbours set aside too, 1 neighbour still waiting"
    )
    assert "2 of 6 neighbours handled" in cell.how


@pytest.mark.parametrize(
    ("what", "cell", "good"),
    [
        ("raises", Cell(Verdict.REASON), True),
        ("raises", Cell(Verdict.KEPT), False),
        ("raises", Cell(Verdict.RETRYING), False),
        ("raises", Cell(Verdict.NOT_RUN), False),
        ("crash", Cell(Verdict.LOOPING), False),
        ("crash", Cell(Verdict.REASON, "1 neighbour lost"), False),
        ("kill", Cell(Verdict.HANDLED), True),
        ("kill", Cell(Verdict.REASON), False),
    ],
)
def test_what_is_good_enough_for_ours(what: str, cell: Cell, good: bool) -> None:  # noqa: FBT001
    assert cell.is_good(what) is good


def test_each_contestant_says_its_defaults() -> None:
    assert [one.name for one in ALL if not one.defaults] == []
    assert {one.name for one in ALL} == {
        *("tidings", "faststream", "celery", "dramatiq", "taskiq", "nameko"),
    }
