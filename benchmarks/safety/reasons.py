"""Whether a message that was set aside says why. PURE.

A reason is what a person can act upon: an error, or that the event was delivered too often. That
somebody `rejected` it, which is all that the broker notes by itself, is none.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.safety.hosts import Message

LENGTH: Final = 60
_SAYS_NOTHING: Final = ("rejected", "expired", "maxlen")


def reason_of(message: Message) -> str:
    """Return why it was set aside, as the message itself says it; empty if it does not."""
    return _ours(message.headers) or _error_in_body(message.body) or _brokers(message.headers)


def brokers_note(message: Message) -> str:
    """Return what the broker noted about it, whether it explains something or not."""
    noted = message.headers.get("x-first-death-reason") or _first_death(message.headers)
    return noted if isinstance(noted, str) else ""


def deliveries(message: Message) -> int:
    """Return how often a quorum queue has delivered it before; classic queues do not count."""
    count = message.headers.get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0


def _ours(headers: Mapping[str, Any]) -> str:
    said = [headers.get(name) for name in ("tidings-reason", "tidings-error", "tidings-message")]
    return _short(", ".join(str(one) for one in said if one))


def _error_in_body(body: bytes) -> str:
    """Dramatiq writes the traceback into the message itself."""
    try:
        options = json.loads(body)["options"]
        lines = str(options["traceback"]).strip().splitlines()
    except (ValueError, TypeError, LookupError):
        return ""
    return _short(lines[-1]) if lines else ""


def _brokers(headers: Mapping[str, Any]) -> str:
    noted = _first_death(headers)
    return "" if noted in _SAYS_NOTHING else noted


def _first_death(headers: Mapping[str, Any]) -> str:
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else {}
    return str(first.get("reason", "")) if isinstance(first, Mapping) else ""


def _short(text: str) -> str:
    return text if len(text) <= LENGTH else f"{text[: LENGTH - 1]}…"
