"""Shows the whole record of one event of an outbox: all that is known, and its body."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping

from common.message import Publishing
from ops.letters.text import harmless, moment, readable_body
from ops.outbox.listing import as_dict, time_of
from producer.outbox.visiting import Held


def record_as_dict(held: Held, publishing: Publishing) -> dict[str, object]:
    """Return everything as an object for JSON. The body is text where it is UTF-8, else base64."""
    body = publishing.message.body
    whole: dict[str, object]
    try:
        whole = {"body": body.decode()}
    except UnicodeDecodeError:
        whole = {"body_base64": b64encode(body).decode()}
    return {
        **as_dict(held),
        "state": _state(held),
        "exchange": publishing.exchange,
        "routing_key": publishing.routing_key,
        "expiration": publishing.expiration,
        "properties": _properties(publishing),
        "headers": dict(publishing.message.headers),
        **whole,
    }


def record_as_text(held: Held, publishing: Publishing) -> str:
    """Return everything as lines for a person; nothing in them can draw on the terminal."""
    kind, body = readable_body(publishing.message.body)
    parts = [
        *(f"{name:<14}{harmless(value)}" for name, value in _facts(held, publishing) if value),
        *_section("properties", _named(_properties(publishing))),
        *_section("headers", _named(publishing.message.headers)),
        *_section(f"body ({kind})", body),
    ]
    return "\n".join(parts)


def _state(held: Held) -> str:
    return "waiting" if held.refused_at is None else "set aside"


def _facts(held: Held, publishing: Publishing) -> Iterator[tuple[str, str]]:
    yield "id", held.id
    yield "type", held.type
    yield "number", str(held.number)
    yield "state", "set aside, to be tried again" if held.again else _state(held)
    yield "accepted", time_of(held.accepted_at) or ""
    yield "set aside", time_of(held.refused_at) or ""
    yield "reason", held.reason
    yield "exchange", publishing.exchange
    yield "routing key", publishing.routing_key
    if publishing.expiration is not None:
        yield "expiration", f"{publishing.expiration:g}s"


def _properties(publishing: Publishing) -> dict[str, object]:
    found = publishing.message._asdict()
    del found["body"], found["headers"]
    if (timestamp := publishing.message.timestamp) is not None:
        found["timestamp"] = moment(timestamp * 1000) or str(timestamp)
    return {name: value for name, value in found.items() if value is not None}


def _named(values: Mapping[str, object]) -> str:
    return "\n".join(
        harmless(f"{name}: {value if isinstance(value, str) else json.dumps(value, default=str)}")
        for name, value in values.items()
    )


def _section(title: str, text: str) -> list[str]:
    return ["", title, *(f"  {line}" for line in text.split("\n"))] if text else []
