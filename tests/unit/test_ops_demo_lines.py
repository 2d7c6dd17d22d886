"""What `make run` shows of the services' log events."""

from collections import Counter

import pytest

from ops.demo_lines import line, totals

TS = {"ts": "2026-11-24T12:34:56.7Z"}


@pytest.mark.parametrize(
    ("said", "shown"),
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
            {"event": "broker_unavailable", "level": "warning", "reason": "gone"},
            "12:34:56  producer    warning     broker unavailable  reason=gone",
        ),
    ],
)
def test_a_log_event_becomes_a_line(said: dict[str, object], shown: str) -> None:
    assert line("producer", {**TS, **said}, colours=False) == shown


def test_what_a_newcomer_need_not_see_is_left_out() -> None:
    assert line("consumer-1", {**TS, "event": "event_duplicate"}, colours=False) is None


def test_colours_are_for_terminals() -> None:
    said = {**TS, "event": "event_handled", "event_id": "1"}

    assert "\033[" in str(line("c", said, colours=True))
    assert "\033[" not in str(line("c", said, colours=False))


def test_the_last_line_has_every_count() -> None:
    counts = Counter(published=3, dead=1)

    assert totals(counts) == "published=3 handled=0 retried=0 dead=1"
