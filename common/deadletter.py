"""`DeadLetter`: why an event was set aside, where, when and after how many attempts. PURE.

This file alone writes the record into headers and reads it back. The body of a dead letter is the
original's, byte for byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from common.history import History
from common.message import Delivery, HeaderValue

TEXT_BYTES = 1024
TRACEBACK_BYTES = 8 * 1024
"""Our headers stay below 16 KiB in all: headers that do not fit one frame close the connection."""


class Reason(StrEnum):
    """Why an event is dead: a closed list, so that tools can group by it."""

    MALFORMED = "malformed"
    INVALID_PAYLOAD = "invalid_payload"
    TOO_LARGE = "too_large"
    NO_HANDLER = "no_handler"
    REJECTED = "rejected"
    UNRECOVERABLE = "unrecoverable"
    ATTEMPTS_SPENT = "attempts_spent"
    TOO_OLD = "too_old"
    EXPIRED = "expired"
    CONFLICT = "conflict"
    CRASHED = "crashed"
    DELIVERY_LIMIT = "delivery_limit"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The record. `id`, `type` and `source` are empty where the body could not be read."""

    reason: str
    id: str = ""
    type: str = ""
    source: str = ""
    error: str = ""
    """The exception's type."""
    message: str = ""
    traceback: str = ""
    attempts: int = 0
    attempt_times_ms: tuple[int, ...] = ()
    first_failed_ms: int = 0
    last_failed_ms: int = 0
    handler: str = ""
    group: str = ""
    host: str = ""
    history: History = History()

    def headers(self) -> dict[str, str | int]:
        """Write the record: strings and integers only, each cut to its budget."""
        found: dict[str, str | int] = {
            **self.history.headers(),
            "tidings-reason": self.reason,
            "tidings-id": clipped(self.id),
            "tidings-type": clipped(self.type),
            "tidings-source": clipped(self.source),
            "tidings-error": clipped(self.error),
            "tidings-message": clipped(self.message),
            "tidings-traceback": clipped(self.traceback, TRACEBACK_BYTES),
            "tidings-handler": clipped(self.handler),
            "tidings-group": clipped(self.group),
            "tidings-host": clipped(self.host),
            "tidings-died": self.last_failed_ms,
        }
        return {name: value for name, value in found.items() if value not in ("", 0)}

    @classmethod
    def of(cls, delivery: Delivery) -> "DeadLetter":
        """Read a dead letter: one of ours, or one the broker made when its limit was reached."""
        headers = delivery.message.headers
        history = History.of(delivery)
        reason = _text(headers, "tidings-reason")
        if not reason:
            return _made_by_broker(delivery, history)
        return cls(
            reason=reason,
            id=_text(headers, "tidings-id"),
            type=_text(headers, "tidings-type"),
            source=_text(headers, "tidings-source"),
            error=_text(headers, "tidings-error"),
            message=_text(headers, "tidings-message"),
            traceback=_text(headers, "tidings-traceback"),
            attempts=history.attempts,
            attempt_times_ms=history.attempt_times_ms,
            first_failed_ms=history.first_failed_ms,
            last_failed_ms=_number(headers, "tidings-died"),
            handler=_text(headers, "tidings-handler"),
            group=_text(headers, "tidings-group"),
            host=_text(headers, "tidings-host"),
            history=history,
        )


def _made_by_broker(delivery: Delivery, history: History) -> DeadLetter:
    """The broker says in `x-death` what it did; it knows no more."""
    deaths = delivery.message.headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else {}
    death = first if isinstance(first, Mapping) else {}
    reason = str(death.get("reason", "unknown"))
    queue = str(death.get("queue", ""))
    keys = death.get("routing-keys")
    where = History(
        attempts=history.attempts,
        hop=history.hop,
        first_failed_ms=history.first_failed_ms,
        attempt_times_ms=history.attempt_times_ms,
        exchange=_text(delivery.message.headers, "tidings-exchange")
        or str(death.get("exchange", "")),
        routing_key=_text(delivery.message.headers, "tidings-routing-key")
        or (str(keys[0]) if isinstance(keys, list) and keys else delivery.routing_key),
        replays=history.replays,
    )
    return DeadLetter(
        reason=reason,
        id=delivery.message.message_id or "",
        type=delivery.message.type or "",
        message="set aside by the broker, not by a handler",
        attempts=history.attempts,
        attempt_times_ms=history.attempt_times_ms,
        first_failed_ms=history.first_failed_ms,
        group=queue,
        history=where,
    )


def clipped(text: str, limit: int = TEXT_BYTES) -> str:
    """Cut a text to `limit` bytes of UTF-8, keeping its head and its tail."""
    raw = text.encode(errors="backslashreplace")
    if len(raw) <= limit:
        return raw.decode()
    mark = " … "
    half = (limit - len(mark.encode())) // 2
    return raw[:half].decode(errors="ignore") + mark + raw[-half:].decode(errors="ignore")


def _text(headers: Mapping[str, HeaderValue], name: str) -> str:
    value = headers.get(name)
    return value if isinstance(value, str) else ""


def _number(headers: Mapping[str, HeaderValue], name: str) -> int:
    value = headers.get(name)
    return value if isinstance(value, int) else 0
