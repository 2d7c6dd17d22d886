"""What `make run` shows of the services' log events."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from ops.demo_lines import Lines, totals

TS = {"ts": "2026-11-24T12:34:56.7Z"}
LOST = {"event": "broker_unavailable", "level": "warning", "reason": "gone", "retry_in": 1.0}
FOUND = {"event": "connected", "level": "info", "broker": "RabbitMQ 4.3"}


def shown(said: Mapping[str, Any], who: str = "producer") -> str | None:
    return Lines(colours=False).line(who, {**TS, **said})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {"event": "event_published", "event_id": "abcdef123456", "event_type": "a.b"},
            "12:34:56  producer    published   event …123456  a.b, confirmed by the broker",
        ),
        (
            {
                "event": "event_retried",
                "event_id": "1",
                "error": "ValueError",
                "message": "x",
                "retry_in": 1.5,
            },
            "12:34:56  producer    retried     event …1  ValueError: x; again in 1.5 s",
        ),
        (
            {**LOST, "role": "publish"},
            "12:34:56  producer    lost        no connection to publish (gone); connecting anew",
        ),
        (
            {"event": "ticks_missed", "level": "warning", "missed": 3},
            "12:34:56  producer    warning     ticks missed  missed=3",
        ),
        (
            {"event": "lease_taken", "source": "ticker"},
            "12:34:56  producer                makes the ticks of ticker",
        ),
        (
            {"event": "lease_held_elsewhere", "source": "t"},
            "12:34:56  producer                stands by: another producer makes the ticks of t",
        ),
        (
            {**FOUND, "role": "publish"},
            "12:34:56  producer                connected to RabbitMQ 4.3, to publish",
        ),
    ],
)
def test_a_log_event_becomes_a_line(said: dict[str, object], expected: str) -> None:
    assert shown(said) == expected


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"event": "outbox_fills", "events": 12, "oldest": 11},
            "12 events on disk, waiting for the broker; the oldest for 11 s",
        ),
        ({"event": "outbox_drained"}, "empty again: the broker has confirmed all that waited"),
        ({"event": "outbox_full", "events": 1, "source": "s"}, "full with 1 event: s has to wait"),
        ({"event": "outbox_has_room", "events": 9}, "has room again, with 9 events left"),
        (
            {"event": "outbox_not_written", "reason": "disk I/O error", "times": 1},
            "the disk takes nothing: disk I/O error; trying on",
        ),
        ({"event": "outbox_written_again"}, "the disk takes events again"),
        (
            {"event": "refused_events_tried_again", "events": 2},
            "2 events that the broker had refused: tried again",
        ),
        (
            {"event": "unsent_events_kept", "events": 3},
            "3 events not sent, kept on disk (which goes with the demo)",
        ),
        (
            {"event": "unsent_events_lost", "events": 3},
            "3 events not sent, and lost: the outbox was in memory",
        ),
    ],
)
def test_what_the_outbox_does_is_told_in_words(said: dict[str, object], words: str) -> None:
    assert shown(said) == f"12:34:56  producer    outbox      {words}"


def test_of_an_outage_the_first_and_the_last_line_are_shown_for_each_connection() -> None:
    lines = Lines(colours=False)
    said: list[tuple[str, Mapping[str, Any]]] = [
        ("producer", {**LOST, "role": "publish"}),
        ("producer", {**LOST, "role": "publish"}),
        ("consumer-1", {**LOST, "role": "consume"}),
        ("producer", {**FOUND, "role": "publish"}),
        ("producer", {**LOST, "role": "publish"}),
        ("producer", {**FOUND, "role": "publish"}),
    ]

    shown = [lines.line(who, one) for who, one in said]

    assert [line and line.strip() for line in shown] == [
        "producer    lost        no connection to publish (gone); connecting anew",
        None,
        "consumer-1  lost        no connection to consume (gone); connecting anew",
        "producer    back        connected to RabbitMQ 4.3, to publish, after 2 tries",
        "producer    lost        no connection to publish (gone); connecting anew",
        "producer    back        connected to RabbitMQ 4.3, to publish, after 1 try",
    ]


def test_a_broker_that_takes_no_events_is_told_in_words() -> None:
    blocked = {"event": "broker_blocked", "reason": "low on memory"}

    assert "blocked     the broker takes no events for now: low on memory" in str(shown(blocked))
    assert "back        the broker takes events again" in str(shown({"event": "broker_unblocked"}))


def test_what_a_newcomer_need_not_see_is_left_out() -> None:
    assert shown({"event": "event_duplicate"}, "consumer-1") is None


def test_colours_are_for_terminals() -> None:
    said = {**TS, "event": "event_handled", "event_id": "1"}

    assert "\033[" in str(Lines(colours=True).line("c", said))
    assert "\033[" not in str(Lines(colours=False).line("c", said))


def test_the_last_line_has_every_count() -> None:
    counts = Counter(published=3, dead=1)

    assert totals(counts) == "published=3 handled=0 retried=0 dead=1"
