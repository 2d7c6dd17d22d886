"""`Event` <-> `Message`: what an event looks like as an AMQP message, written and read.

Writes CloudEvents structured mode. Reads structured mode, binary mode with each of the three header
prefixes in use (AMQP 1.0 binding 1.0.2 `cloudEvents:`, its successor `cloudEvents_`, Knative's
`ce-`), and plain JSON. Bad input is a value, `Malformed`, never an exception. PURE.
"""

import re
from collections.abc import Mapping
from typing import Any

from common.errors import InvalidEvent
from common.event import (
    CONTENT_TYPE,
    MAX_TYPE_BYTES,
    SPEC_VERSION,
    Event,
    Malformed,
    from_attributes,
    from_json_object,
    parse_json,
)
from common.event_writing import to_json
from common.message import NO_HEADERS, UNREADABLE, HeaderValue, Message
from common.slot import SLOT, only_a_slot, slot_headers

MAX_EVENT_BYTES = 1024 * 1024
"""Default limit of a body: below what brokers refuse (16 MiB on 4.x), so that we say it first."""

OURS = "tidings-"
"""How the names of our own headers begin."""
_ESCAPED = re.compile("[\ud800-\udfff]")
"""What stands in a text for bytes that are not UTF-8."""
_LAST_TIME = 253_402_300_799_999
"""Of the year 9999, where time ends in Python and in RFC 3339; in milliseconds, because many
senders mean these although AMQP says seconds."""
_LONGEST_SLOT = 8
"""Characters: what is longer was not written by a producer of events."""
_PREFIXES = ("cloudevents:", "cloudevents_", "ce-")
_STALE = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-", "x-acquired-", "x-opt-")
_STEERING = ("cc", "bcc")
"""What the broker wrote about the original, what a sender would forge of it, and what would send
the copy into other queues too: never published again."""


def to_message(
    event: Event,
    *,
    app_id: str | None = None,
    priority: int | None = None,
    headers: Mapping[str, str | int] | None = None,
    limit: int = MAX_EVENT_BYTES,
) -> Message:
    """Write a complete event. Raises InvalidEvent when it is not valid or over `limit` bytes."""
    body = to_json(event)
    if len(body) > limit:
        message = (
            f"event '{event.type}' is {len(body)} bytes, over the limit of {limit}; "
            "send a reference to the data or raise TIDINGS_MAX_EVENT_BYTES"
        )
        raise InvalidEvent(message)
    ours: Mapping[str, HeaderValue] = headers or NO_HEADERS
    if event.extensions and (parent := event.extensions.get("traceparent")):
        ours = {"traceparent": str(parent), **ours}
    if (event.subject or event.extensions) and (key := ordering_key(event)):
        slot = slot_headers(key)
        ours = {**ours, **slot} if ours else slot
    identity = _short_enough(event.id)
    seconds = None if event.time is None else int(event.time.timestamp())
    # By place, for each event: by name takes twice as long.
    return Message(
        body, CONTENT_TYPE, None, identity, None, None, event.type, app_id, seconds, priority, ours
    )


def ordering_key(event: Event) -> str | None:
    """Return what tells whose events are handled in order: `partitionkey`, else `subject`.

    An empty one is none.
    """
    if event.extensions:
        key = event.extensions.get("partitionkey")
        if key is not None and (key := str(key)):
            return key
    return event.subject or None


def to_event(
    message: Message, *, routing_key: str, exchange: str, fallback_id: str
) -> Event | Malformed:
    """Read a message in whichever of the known forms it came.

    Plain JSON without a `message_id` has no identity of its own: it gets `fallback_id`, and a copy
    that we publish again carries it as its `message_id`.
    """
    if flaw := _flaw(message):
        return Malformed(flaw)
    content_type = message.content_type or ""
    if content_type != CONTENT_TYPE:
        content_type = content_type.strip().lower()
    if content_type.startswith("application/cloudevents-batch"):
        return Malformed("a batch of CloudEvents is not allowed over AMQP; send them one by one")
    if content_type.startswith("application/cloudevents"):
        body = _parse(message.body)
        return body if isinstance(body, Malformed) else from_json_object(body)
    attributes = _binary_attributes(message.headers)
    if attributes:
        return _from_binary(message, attributes)
    return _from_plain_json(message, routing_key, exchange, fallback_id)


def republished(message: Message, ours: Mapping[str, str | int], *, message_id: str) -> Message:
    """Return the same bytes and properties to publish again, with no headers of ours but `ours`.

    The slot stays: by it a copy comes back to its original's partition. Broker headers (`x-death`,
    `x-delivery-count`, …) would be stale, and `CC`/`BCC` would copy the message into other queues a
    second time: they go.
    """
    kept = {
        name: value
        for name, value in message.headers.items()
        if not name.lower().startswith((*_STALE, OURS)) and name.lower() not in _STEERING
    }
    return message._replace(
        message_id=message.message_id or _short_enough(message_id),
        headers={**_fitting(kept), **_slot(message.headers), **ours},
    )


def _slot(headers: Mapping[str, HeaderValue]) -> dict[str, str]:
    """Return the slot as it came, if it can be one."""
    slot = headers.get(SLOT)
    return {SLOT: slot} if isinstance(slot, str) and len(slot) <= _LONGEST_SLOT else {}


def _short_enough(identity: str) -> str | None:
    """Return an id that fits the property, an AMQP short string; a longer one is in the body."""
    return identity if identity and len(identity.encode()) <= MAX_TYPE_BYTES else None


def _flaw(message: Message) -> str | None:
    """Say which property or header is not what its kind can hold, if one is.

    Not of our own headers: a routing key, which need not be UTF-8, is kept in one of them.
    """
    for text in (
        message.content_type,
        message.message_id,
        message.type,
        message.app_id,
        message.content_encoding,
        message.correlation_id,
        message.reply_to,
    ):
        if text is not None and not text.isascii() and _ESCAPED.search(text):
            names = (name for name, value in message._asdict().items() if value is text)
            return f"property {next(names)} is not UTF-8: {text!a:.80}"
    if message.timestamp is not None and message.timestamp > _LAST_TIME:
        return f"property timestamp is past the year 9999: {message.timestamp}"
    headers = message.headers
    return None if not headers or only_a_slot(headers) else _headers_flaw(headers)


def _headers_flaw(headers: Mapping[str, HeaderValue]) -> str | None:
    if UNREADABLE in headers:
        return f"properties or headers cannot be read: {headers[UNREADABLE]!s:.200}"
    for name, value in headers.items():
        if name.startswith(OURS):
            continue
        if _ESCAPED.search(name):
            return f"header name {name!a:.80} is not UTF-8"
        if isinstance(value, str) and _ESCAPED.search(value):
            return f"header {name!a:.80} is not UTF-8: {value!a:.80}"
    return None


def _parse(body: bytes) -> Any:
    try:
        return parse_json(body)
    except (ValueError, RecursionError) as error:
        return Malformed(f"body is not JSON: {error!s:.200}")


def _binary_attributes(headers: Mapping[str, HeaderValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in headers.items():
        lowered = name.lower()
        for prefix in _PREFIXES:
            if lowered.startswith(prefix) and value is not None:
                found[lowered[len(prefix) :]] = value
    return found


def _from_binary(message: Message, attributes: dict[str, Any]) -> Event | Malformed:
    """Binary mode: attributes in headers, `content_type` is `datacontenttype`, the body is data."""
    texts = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }
    data: Any = message.body
    if message.content_type:
        texts["datacontenttype"] = message.content_type
    if _is_json(message.content_type):
        data = _parse(message.body) if message.body else None
        if isinstance(data, Malformed):
            return data
    return from_attributes(texts, data)


def _from_plain_json(
    message: Message, routing_key: str, exchange: str, fallback_id: str
) -> Event | Malformed:
    """JSON of a sender that knows nothing of CloudEvents, or a CloudEvent whose label was lost."""
    body = _parse(message.body)
    if isinstance(body, Malformed):
        return body
    if isinstance(body, dict) and "specversion" in body:
        return from_json_object(body)
    attributes = {
        "specversion": SPEC_VERSION,
        "id": message.message_id or fallback_id,
        "source": message.app_id or f"/amqp/{exchange}",
        "type": message.type or routing_key,
    }
    return from_attributes(attributes, body)


def _is_json(content_type: str | None) -> bool:
    if not content_type:
        return True
    media = content_type.split(";")[0].strip().lower()
    return media.endswith(("/json", "+json"))


_FOREIGN_HEADERS_BYTES = 96 * 1024
"""All headers of a message must fit one frame of 128 KiB, or the broker closes the connection;
what is left is room for ours."""


def _fitting(headers: dict[str, HeaderValue]) -> dict[str, HeaderValue]:
    """Leave the largest foreign headers out where all of them would not fit beside ours."""
    sizes = {name: len(name) + 8 + len(str(value)) * 2 for name, value in headers.items()}
    total = sum(sizes.values())
    kept = dict(headers)
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total <= _FOREIGN_HEADERS_BYTES:
            break
        total -= sizes[name]
        del kept[name]
    return kept
