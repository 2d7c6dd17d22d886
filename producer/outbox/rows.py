"""A publishing as a row of a table, and back. PURE."""

from typing import Any

import orjson

from common.message import NO_HEADERS, Message, Publishing

COLUMNS = "exchange, routing_key, properties, body"
"""The properties are one JSON array: nobody but us has to read them, and the schema outlives the
next property."""

Row = tuple[str, str, bytes, bytes]
"""What stands in `COLUMNS`."""


def row_of(publishing: Publishing) -> Row:
    """Write a publishing. Its headers are ours: texts and integers."""
    body, *properties, headers = publishing.message
    packed = orjson.dumps([*properties, dict(headers) or None, publishing.expiration])
    return publishing.exchange, publishing.routing_key, packed, body


def publishing_of(row: Row) -> Publishing:
    """Read what `row_of` wrote."""
    exchange, routing_key, packed, body = row
    *properties, headers, expiration = orjson.loads(packed)
    message = Message._make((body, *properties, headers or NO_HEADERS))
    return Publishing(exchange, routing_key, message, expiration)


def described(row: Row) -> dict[str, Any]:
    """Say what a person wants to know of a row: the event's id and type, and its size."""
    message = publishing_of(row).message
    return {"id": message.message_id, "type": message.type or row[1], "bytes": len(message.body)}
