"""Our values <-> pamqp's. What a sender put into a message must never raise here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.common import FieldTable, FieldValue

from common.message import HeaderValue, Message, Publishing

PERSISTENT = 2
_MAX_NAME = 128
"""Longest header name in AMQP 0-9-1; pamqp cuts longer ones silently."""


def to_message(delivered: DeliveredMessage) -> Message:
    """Copy what arrived out of the library's objects."""
    found = delivered.header.properties
    timestamp = found.timestamp
    return Message(
        body=delivered.body,
        content_type=found.content_type,
        content_encoding=found.content_encoding,
        message_id=found.message_id,
        correlation_id=found.correlation_id,
        type=found.message_type,
        app_id=found.app_id,
        timestamp=int(timestamp.timestamp()) if isinstance(timestamp, datetime) else None,
        priority=found.priority,
        headers=found.headers or {},
    )


def to_properties(publishing: Publishing) -> Basic.Properties:
    """Write the properties of a publishing; always persistent."""
    message = publishing.message
    expiration = publishing.expiration
    return Basic.Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=_table(message.headers),
        delivery_mode=PERSISTENT,
        priority=message.priority,
        correlation_id=message.correlation_id,
        expiration=None if expiration is None else str(int(expiration * 1000)),
        message_id=message.message_id,
        timestamp=None if message.timestamp is None else _moment(message.timestamp),
        message_type=message.type,
        app_id=message.app_id,
    )


def _moment(timestamp: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _table(headers: Mapping[str, HeaderValue]) -> FieldTable:
    return {
        name: _field(value) for name, value in headers.items() if len(name.encode()) <= _MAX_NAME
    }


def _field(value: HeaderValue) -> FieldValue:
    """Make a header value one that pamqp can write: it refuses `bytes` and large integers."""
    match value:
        case None | bool() | str() | float() | Decimal() | datetime() | bytearray():
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case bytes():
            return bytearray(value)
        case Mapping():
            return {str(name): _field(member) for name, member in value.items()}
        case list():
            return [_field(member) for member in value]
    return str(value)
