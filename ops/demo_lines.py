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
    "warning": 33,
    "error": 31,
}
_QUIET = frozenset({"event_duplicate", "unrouted_events_wait"})
_KNOWN = frozenset({"ts", "level", "event", "service", "role"})


def line(who: str, said: Mapping[str, Any], *, colours: bool) -> str | None:
    """Return the line for one log event, or None when a newcomer need not see it."""
    event = str(said.get("event", ""))
    if event in _QUIET:
        return None
    word, text = _words(event, said)
    if colours and word in _COLOURS:
        word, padding = f"\033[{_COLOURS[word]}m{word}\033[0m", " " * (10 - len(word))
    else:
        padding = " " * (10 - len(word))
    return f"{_clock(said)}  {who:<10}  {word}{padding}  {text}".rstrip()


def totals(counts: Counter[str]) -> str:
    """Return the last line of a run."""
    return " ".join(f"{name}={counts[name]}" for name in TOTALS)


def _words(event: str, said: Mapping[str, Any]) -> tuple[str, str]:
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
        case "connected":
            return "", f"connected to {said.get('broker')}, to {said.get('role', 'publish')}"
    facts = ", ".join(f"{key}={value}" for key, value in said.items() if key not in _KNOWN)
    level = str(said.get("level", ""))
    return (level if level in ("warning", "error") else ""), f"{event.replace('_', ' ')}  {facts}"


def _clock(said: Mapping[str, Any]) -> str:
    return str(said.get("ts", ""))[11:19] or " " * 8
