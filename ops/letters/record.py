"""Shows the whole record of one dead letter: everything we know, and its body. PURE."""

import json
from base64 import b64encode
from collections.abc import Iterator

from common.deadletter import DeadLetter
from common.message import Delivery
from ops.letters.letter import Letter
from ops.letters.text import harmless, harmless_lines, moment, readable_body


def record_as_dict(letter: Letter, delivery: Delivery) -> dict[str, object]:
    """Return everything as an object for JSON. The body is text where it is UTF-8, else base64."""
    record, message = DeadLetter.of(delivery), delivery.message
    body: dict[str, object]
    try:
        body = {"body": message.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": b64encode(message.body).decode()}
    return {
        **letter.as_dict(),
        "host": record.host,
        "attempt_times": [moment(one) for one in record.attempt_times_ms],
        "traceback": record.traceback,
        "properties": _properties(delivery),
        "headers": _foreign_headers(delivery),
        **body,
    }


def record_as_text(letter: Letter, delivery: Delivery) -> str:
    """Return everything as lines for a person; nothing in them can draw on the terminal."""
    record = DeadLetter.of(delivery)
    kind, body = readable_body(delivery.message.body)
    parts = [
        *(f"{name:<14}{harmless(value)}" for name, value in _facts(letter, record) if value),
        *_section("properties", _named(_properties(delivery))),
        *_section("headers", _named(_foreign_headers(delivery))),
        *_section("traceback", harmless_lines(record.traceback.rstrip())),
        *_section(f"body ({kind})", body),
    ]
    return "\n".join(parts)


def _facts(letter: Letter, record: DeadLetter) -> Iterator[tuple[str, str]]:
    yield "id", letter.id
    yield "type", letter.type
    yield "source", letter.source
    yield "reason", letter.reason
    yield "error", ": ".join(filter(None, (letter.error, letter.message)))
    yield "handler", letter.handler
    yield "group", letter.group
    yield "host", record.host
    yield "attempts", str(letter.attempts)
    yield "  at", ", ".join(filter(None, map(moment, record.attempt_times_ms)))
    yield "first failed", moment(letter.first_failed_ms) or ""
    yield "last failed", moment(letter.last_failed_ms) or ""
    yield "exchange", letter.exchange
    yield "routing key", letter.routing_key
    yield "replays", str(letter.replays)


def _properties(delivery: Delivery) -> dict[str, object]:
    message = delivery.message
    found = {
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "message_id": message.message_id,
        "correlation_id": message.correlation_id,
        "type": message.type,
        "app_id": message.app_id,
        "timestamp": _time(message.timestamp),
        "priority": message.priority,
    }
    return {name: value for name, value in found.items() if value is not None}


def _time(seconds: int | None) -> str | None:
    """Write a timestamp as RFC 3339; past the year 9999, as the number it is."""
    return None if seconds is None else moment(seconds * 1000) or str(seconds)


def _foreign_headers(delivery: Delivery) -> dict[str, object]:
    """Return the headers that are not ours: ours are the record itself."""
    headers = delivery.message.headers
    return {name: value for name, value in headers.items() if not name.startswith("tidings-")}


def _named(values: dict[str, object]) -> str:
    return "\n".join(
        harmless(f"{name}: {value if isinstance(value, str) else json.dumps(value, default=str)}")
        for name, value in values.items()
    )


def _section(title: str, text: str) -> list[str]:
    if not text:
        return []
    return ["", title, *(f"  {line}" for line in text.split("\n"))]
