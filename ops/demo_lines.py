"""How `make run` shows what the services say: a log event becomes a line for people."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

COUNTED = {
    "event_published": "published",
    "event_handled": "handled",
    "event_retried": "retried",
    "event_dead_lettered": "dead",
}
TOTALS = ("published", "handled", "retried", "dead")

_COLOURS = {
    "published": 36,
    "delivered": 37,
    "handled": 32,
    "retried": 33,
    "dead": 31,
    "lost": 31,
    "back": 32,
    "blocked": 33,
    "outbox": 35,
    "warning": 33,
    "error": 31,
}
_QUIET = frozenset({"event_duplicate", "unrouted_events_wait"})
_KNOWN = frozenset({"ts", "level", "event", "service", "role"})
_WORD_WIDTH = 10
_LOST = "broker_unavailable"
_FOUND = "connected"

Said = Mapping[str, Any]


class Lines:
    """The lines of a run. Knows who has lost the broker: a hundred tries would hide the story."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._tries: Counter[tuple[str, str]] = Counter()

    def line(self, who: str, said: Said) -> str | None:
        """Return the line for one log event, or None when a newcomer need not see it."""
        event = str(said.get("event", ""))
        connection = who, str(said.get("role", ""))
        if event == _LOST:
            self._tries[connection] += 1
        if event in _QUIET or (event == _LOST and self._tries[connection] > 1):
            return None
        word, text = _words(event, said)
        if event == _FOUND and (tries := self._tries.pop(connection, 0)):
            word = "back"
            text = f"{text}, after {_many(tries, 'try', 'tries')}"
        return self._laid_out(who, said, word, text)

    def _laid_out(self, who: str, said: Said, word: str, text: str) -> str:
        padding = " " * (_WORD_WIDTH - len(word))
        if self._colours and word in _COLOURS:
            word = f"\033[{_COLOURS[word]}m{word}\033[0m"
        return f"{_clock(said)}  {who:<10}  {word}{padding}  {text}".rstrip()


def totals(counts: Counter[str]) -> str:
    """Return the last line of a run."""
    return " ".join(f"{name}={counts[name]}" for name in TOTALS)


def _words(event: str, said: Said) -> tuple[str, str]:
    """Return the word that says what has happened, and what to know about it."""
    known = _of_event(event, said) or _of_broker(event, said) or _of_outbox(event, said)
    if known is not None:
        return known
    facts = ", ".join(f"{key}={value}" for key, value in said.items() if key not in _KNOWN)
    level = str(said.get("level", ""))
    return (level if level in ("warning", "error") else ""), f"{event.replace('_', ' ')}  {facts}"


def _of_event(event: str, said: Said) -> tuple[str, str] | None:
    event_id = f"event …{str(said.get('event_id', ''))[-6:]}"
    match event:
        case "event_published":
            return "published", f"{event_id}  {said.get('event_type')}, confirmed by the broker"
        case "demo_handler":
            return (
                "delivered",
                f"{event_id}  tick {said.get('tick')}, attempt {said.get('attempt')}",
            )
        case "event_handled":
            return "handled", f"{event_id}  acked"
        case "event_retried":
            why = f"{said.get('error')}: {said.get('message')}"
            return "retried", f"{event_id}  {why}; again in {said.get('retry_in')} s"
        case "event_dead_lettered":
            return "dead", f"{event_id}  {said.get('reason')}: {said.get('message')}"
        case "producer_started" | "consumer_started":
            made_of = ", ".join(said.get("sources", said.get("handlers", ())))
            return "started", f"version {said.get('version')}; {made_of}"
        case "lease_taken":
            return "", f"makes the ticks of {said.get('source')}"
        case "lease_held_elsewhere":
            return "", f"stands by: another producer makes the ticks of {said.get('source')}"
    return None


def _of_broker(event: str, said: Said) -> tuple[str, str] | None:
    role = said.get("role", "publish")
    match event:
        case "connected":
            return "", f"connected to {said.get('broker')}, to {role}"
        case "broker_unavailable":
            return "lost", f"no connection to {role} ({said.get('reason')}); connecting anew"
        case "broker_blocked":
            return "blocked", f"the broker takes no events for now: {said.get('reason')}"
        case "broker_unblocked":
            return "back", "the broker takes events again"
    return None


def _of_outbox(event: str, said: Said) -> tuple[str, str] | None:
    """Tell of events that the broker does not have yet, and of the file that they lie in."""
    events = _many(said.get("events", 0), "event", "events")
    match event:
        case "outbox_fills":
            text = (
                f"{events} on disk, waiting for the broker; the oldest for {said.get('oldest')} s"
            )
        case "outbox_drained":
            text = "empty again: the broker has confirmed all that waited"
        case "outbox_full":
            text = f"full with {events}: {said.get('source')} has to wait"
        case "outbox_has_room":
            text = f"has room again, with {events} left"
        case "outbox_not_written":
            text = f"the disk takes nothing: {said.get('reason')}; trying on"
        case "outbox_written_again":
            text = "the disk takes events again"
        case "refused_events_tried_again":
            text = f"{events} that the broker had refused: tried again"
        case "unsent_events_kept":
            text = f"{events} not sent, kept on disk (which goes with the demo)"
        case "unsent_events_lost":
            text = f"{events} not sent, and lost: the outbox was in memory"
        case _:
            return None
    return "outbox", text


def _many(count: Any, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _clock(said: Said) -> str:
    return str(said.get("ts", ""))[11:19] or " " * 8
