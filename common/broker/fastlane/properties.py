"""The content header: the size of a body and the properties of its message, both ways. PURE.

Source: AMQP 0-9-1 specification, sections 4.2.6.1 and 1.8.3 (class basic).
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from common.broker.fastlane.tables import encode_table, headers_of
from common.broker.fastlane.wire import BASIC, FrameError, short
from common.message import NO_HEADERS, UNREADABLE, HeaderValue, Publishing

PERSISTENT = 2

_CONTENT_TYPE, _ENCODING, _HEADERS, _MODE = 0x8000, 0x4000, 0x2000, 0x1000
_PRIORITY, _CORRELATION, _REPLY_TO, _EXPIRATION = 0x0800, 0x0400, 0x0200, 0x0100
_MESSAGE_ID, _TIMESTAMP, _TYPE, _USER_ID = 0x0080, 0x0040, 0x0020, 0x0010
_APP_ID, _CLUSTER_ID, _MORE = 0x0008, 0x0004, 0x0001

_fixed = struct.Struct(">HHQH")
"""Class, weight (always 0), size of the body, which properties follow."""
_length = struct.Struct(">I")
_seconds = struct.Struct(">Q")
_LATEST = 2**64 - 1


Text = str | None
Properties = tuple[
    Text, Text, Text, Text, Text, Text, Text, int | None, int | None, Mapping[str, HeaderValue]
]
"""The fields of a `Message` after its body, in their order."""


class Content(NamedTuple):
    """A content header that was read: the body is still to come."""

    size: int
    properties: Properties


def decode_content(payload: bytes) -> Content:
    """Read a content header. Raises FrameError only when not even the body's size can be read.

    Properties that cannot be read leave one header, `UNREADABLE`, with the reason: the message can
    still be settled, and set aside.
    """
    try:
        _, _, size, flags = _fixed.unpack_from(payload)
    except struct.error:
        raise FrameError("a content header is cut off") from None
    try:
        return Content(size, read_properties(payload, _fixed.size, len(payload), flags))
    except (FrameError, struct.error, IndexError) as problem:
        return Content(size, unreadable(problem))


def unreadable(problem: Exception) -> Properties:
    """Stand in for properties that cannot be read."""
    why = problem if isinstance(problem, FrameError) else "they are cut off"
    reason = f"its properties cannot be read: {why}"
    return (*(None,) * 7, None, None, {UNREADABLE: reason})


def read_properties(data: bytes, at: int, end: int, flags: int) -> Properties:  # noqa: C901, PLR0912 - a flat list, in the order of the wire; a loop over a table takes twice the time, for every event
    """Read the properties between `at` and `end`; raises FrameError, struct.error or IndexError."""
    content_type = encoding = correlation_id = reply_to = message_id = type_ = app_id = None
    headers, priority, timestamp = NO_HEADERS, None, None
    if flags & _MORE:
        raise FrameError("more properties than AMQP 0-9-1 has")
    if flags & _CONTENT_TYPE:
        at, begin = at + 1 + data[at], at + 1
        content_type = str(data[begin:at], "utf-8", "surrogateescape")
    if flags & _ENCODING:
        at, begin = at + 1 + data[at], at + 1
        encoding = str(data[begin:at], "utf-8", "surrogateescape")
    if flags & _HEADERS:
        start = at + 4
        at = start + _length.unpack_from(data, at)[0]
        if at > end:
            raise FrameError("they are cut off")
        headers = headers_of(data[start:at])
    if flags & _MODE:
        at += 1
    if flags & _PRIORITY:
        priority, at = data[at], at + 1
    if flags & _CORRELATION:
        at, begin = at + 1 + data[at], at + 1
        correlation_id = str(data[begin:at], "utf-8", "surrogateescape")
    if flags & _REPLY_TO:
        at, begin = at + 1 + data[at], at + 1
        reply_to = str(data[begin:at], "utf-8", "surrogateescape")
    if flags & _EXPIRATION:
        at += 1 + data[at]
    if flags & _MESSAGE_ID:
        at, begin = at + 1 + data[at], at + 1
        message_id = str(data[begin:at], "utf-8", "surrogateescape")
    if flags & _TIMESTAMP:
        timestamp, at = _seconds.unpack_from(data, at)[0], at + 8
    if flags & _TYPE:
        at, begin = at + 1 + data[at], at + 1
        type_ = str(data[begin:at], "utf-8", "surrogateescape")
    if flags & _USER_ID:
        at += 1 + data[at]
    if flags & _APP_ID:
        at, begin = at + 1 + data[at], at + 1
        app_id = str(data[begin:at], "utf-8", "surrogateescape")
    if at > end:
        raise FrameError("they are cut off")
    return (
        content_type,
        encoding,
        message_id,
        correlation_id,
        reply_to,
        type_,
        app_id,
        timestamp,
        priority,
        headers,
    )


def encode_content(publishing: Publishing) -> bytes:
    """Write the content header of a publishing; always persistent. Raises FrameError."""
    message = publishing.message
    flags = _MODE
    head = middle = tail = b""
    if message.content_type is not None:
        flags |= _CONTENT_TYPE
        head = _often(message.content_type)
    if message.content_encoding is not None:
        flags |= _ENCODING
        head += _often(message.content_encoding)
    if message.headers:
        flags |= _HEADERS
        head += encode_table(message.headers)
    if message.priority is not None:
        flags |= _PRIORITY
        middle = b"%c" % min(max(message.priority, 0), 255)
    if message.correlation_id is not None:
        flags |= _CORRELATION
        middle += short(message.correlation_id)
    if message.reply_to is not None:
        flags |= _REPLY_TO
        middle += short(message.reply_to)
    if publishing.expiration is not None:
        flags |= _EXPIRATION
        middle += short(str(int(publishing.expiration * 1000)))
    if message.message_id is not None:
        flags |= _MESSAGE_ID
        tail = short(message.message_id)
    if message.timestamp is not None:
        flags |= _TIMESTAMP
        tail += _seconds.pack(min(max(message.timestamp, 0), _LATEST))
    if message.type is not None:
        flags |= _TYPE
        tail += _often(message.type)
    if message.app_id is not None:
        flags |= _APP_ID
        tail += _often(message.app_id)
    fixed = _fixed.pack(BASIC, 0, len(message.body), flags)
    return b"%b%b%c%b%b" % (fixed, head, PERSISTENT, middle, tail)


_often = lru_cache(maxsize=1024)(short)
"""Texts that most messages share."""
