"""The broker's answers: in words, and counted by type and outcome."""

from typing import assert_never

from common.instruments import Count
from common.message import Answer, Confirmed, Nacked, Returned, Unknown
from common.metrics import UNKNOWN_TYPE, Metrics

MOST_TYPES = 100
"""Event types with a metric of their own; a program that makes up types must not flood a scrape."""


def explained(answer: Answer) -> str:
    """Say an answer in words."""
    match answer:
        case Confirmed():
            return "stored"
        case Nacked():
            return "a queue that is bound for it refused it (full?)"
        case Returned(reply):
            return f"no queue is bound for it, and 'events.unrouted' is gone ({reply})"
        case Unknown(why):
            return why
    assert_never(answer)


def outcome(answer: Answer) -> str:
    """Name an answer as the label of a metric."""
    return type(answer).__name__.lower()


class AnswerCounts:
    """Counts answers; the counter of a type and outcome is looked up in the metric only once."""

    def __init__(self, metrics: Metrics) -> None:
        self._published = metrics.published
        self._seconds = metrics.confirm_seconds.labels()
        self._types: set[str] = set()
        self._counters: dict[tuple[str, type[Answer]], Count] = {}

    def add(self, event_type: str, answer: Answer, seconds: float) -> None:
        """Count an answer that came `seconds` after the publish."""
        if not isinstance(answer, Unknown):
            self._seconds.observe(seconds)
        counter = self._counters.get((event_type, type(answer)))
        if counter is None:
            counter = self._counter(event_type, answer)
        counter.inc()

    def _counter(self, event_type: str, answer: Answer) -> Count:
        if event_type not in self._types:
            if len(self._types) >= MOST_TYPES:
                return self._published.labels(UNKNOWN_TYPE, outcome(answer))
            self._types.add(event_type)
        counter = self._published.labels(event_type, outcome(answer))
        self._counters[event_type, type(answer)] = counter
        return counter
