"""Header tables: the field types of AMQP 0-9-1 as RabbitMQ uses them, both ways. PURE.

Source: the errata of RabbitMQ's AMQP 0-9-1 (field types), which differ from the specification.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

from common.broker.fastlane.wire import SHORT_MAX, FrameError, read_short, text_of
from common.message import NO_HEADERS, UNREADABLE, HeaderValue

SMALL = 32
"""Bytes of a table that is decoded once and kept."""
MAX_DEPTH = 64
"""Tables within tables; nobody writes so, but a sender may try."""

_INT32, _INT64 = range(-(2**31), 2**31), range(-(2**63), 2**63)
_length = struct.Struct(">I")


class Headers(Mapping[str, HeaderValue]):
    """A header table that is decoded when somebody asks for it.

    A table that cannot be decoded reads as one header, `UNREADABLE`, with the reason.
    """

    __slots__ = ("_found", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._found: dict[str, HeaderValue] | None = None

    def __getitem__(self, name: str) -> HeaderValue:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __repr__(self) -> str:
        return repr(self._decoded())

    def _decoded(self) -> dict[str, HeaderValue]:
        if self._found is None:
            try:
                self._found = decode_table(self._raw)
            except FrameError as problem:
                self._found = {UNREADABLE: str(problem)}
        return self._found


def headers_of(raw: bytes) -> Mapping[str, HeaderValue]:
    """Return the headers of a table's content (without its length)."""
    if not raw:
        return NO_HEADERS
    return Headers(raw) if len(raw) > SMALL else _shared(raw)


@lru_cache(maxsize=256)
def _shared(raw: bytes) -> Mapping[str, HeaderValue]:
    """Decode a table that many messages have, as that of a slot; nobody can change it."""
    return MappingProxyType(dict(Headers(raw)))


def decode_table(raw: bytes) -> dict[str, HeaderValue]:
    """Read a table's content. Raises FrameError."""
    try:
        return _table(raw, 0, len(raw), MAX_DEPTH)
    except (struct.error, IndexError):
        raise FrameError("a header is cut off") from None


def encode_table(headers: Mapping[str, HeaderValue]) -> bytes:
    """Write a table with its length. What AMQP has no type for is written as text.

    Raises FrameError for half a surrogate pair, which no bytes stand for.
    """
    if len(headers) == 1:
        ((name, value),) = headers.items()
        if isinstance(value, str) and len(value) < SMALL:
            return _one_text(name, value)
    return _encoded(headers)


@lru_cache(maxsize=256)
def _one_text(name: str, value: str) -> bytes:
    return _encoded({name: value})


def _encoded(headers: Mapping[str, HeaderValue]) -> bytes:
    parts: list[bytes] = []
    try:
        for name, value in headers.items():
            data = name.encode("utf-8", "surrogateescape")
            if len(data) <= SHORT_MAX:
                parts.append(b"%c%b%b" % (len(data), data, _field(value)))
    except UnicodeEncodeError as error:
        raise FrameError(f"a header is no text: {error.reason}") from None
    content = b"".join(parts)
    return _length.pack(len(content)) + content


def _table(raw: bytes, at: int, end: int, depth: int) -> dict[str, HeaderValue]:
    found: dict[str, HeaderValue] = {}
    while at < end:
        name, at = read_short(raw, at)
        found[name], at = _value(raw, at, end, depth)
    if at > end:
        raise FrameError("a header is longer than its table")
    return found


def _value(raw: bytes, at: int, end: int, depth: int) -> tuple[HeaderValue, int]:
    kind, at = raw[at], at + 1
    if kind in _FIXED:
        layout, make = _FIXED[kind]
        return make(*layout.unpack_from(raw, at)), at + layout.size
    if kind not in _SIZED:
        raise FrameError(f"a header has the unknown type {bytes((kind,))!r}")
    start = at + 4
    stop = start + _length.unpack_from(raw, at)[0]
    if stop > end:
        raise FrameError("a header is longer than its table")
    if kind == _TEXT:
        return text_of(raw[start:stop]), stop
    if kind == _BYTES:
        return raw[start:stop], stop
    if depth == 0:
        raise FrameError(f"headers are nested over {MAX_DEPTH} deep")
    if kind == _TABLE:
        return _table(raw, start, stop, depth - 1), stop
    items: list[HeaderValue] = []
    while start < stop:
        item, start = _value(raw, start, stop, depth - 1)
        items.append(item)
    if start > stop:
        raise FrameError("a header is longer than its list")
    return items, stop


def _moment(seconds: int) -> datetime | int:
    """Return a time, or the number where it is past what a calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds


def _same(value: HeaderValue) -> HeaderValue:
    return value


def _decimal(scale: int, value: int) -> Decimal:
    return Decimal(value).scaleb(-scale)


_TEXT, _BYTES, _TABLE, _LIST = b"SxFA"
_SIZED = frozenset((_TEXT, _BYTES, _TABLE, _LIST))
_FIXED: dict[int, tuple[struct.Struct, Callable[..., HeaderValue]]] = {
    ord("t"): (struct.Struct(">B"), bool),
    ord("b"): (struct.Struct(">b"), _same),
    ord("B"): (struct.Struct(">B"), _same),
    ord("s"): (struct.Struct(">h"), _same),
    ord("u"): (struct.Struct(">H"), _same),
    ord("I"): (struct.Struct(">i"), _same),
    ord("i"): (struct.Struct(">I"), _same),
    ord("l"): (struct.Struct(">q"), _same),
    ord("L"): (struct.Struct(">q"), _same),
    ord("f"): (struct.Struct(">f"), _same),
    ord("d"): (struct.Struct(">d"), _same),
    ord("D"): (struct.Struct(">Bi"), _decimal),
    ord("T"): (struct.Struct(">Q"), _moment),
    ord("V"): (struct.Struct(">"), lambda: None),
}
_int32, _int64, _double, _time = (
    struct.Struct(">ci"),
    struct.Struct(">cq"),
    struct.Struct(">cd"),
    struct.Struct(">cQ"),
)
_scaled = struct.Struct(">cBi")
_EXPONENTS = range(-255, 10)
"""An octet below the point; a number of ten digits at most above it."""


def _field(value: HeaderValue) -> bytes:
    """Write a value with its type."""
    match value:
        case str():
            data = value.encode("utf-8", "surrogateescape")
            return b"S%b%b" % (_length.pack(len(data)), data)
        case bool():
            return b"t\x01" if value else b"t\x00"
        case int() if value in _INT32:
            return _int32.pack(b"I", value)
        case int() if value in _INT64:
            return _int64.pack(b"l", value)
        case float():
            return _double.pack(b"d", value)
        case None:
            return b"V"
        case bytes() | bytearray():
            return b"x%b%b" % (_length.pack(len(value)), bytes(value))
        case Mapping():
            return b"F" + encode_table({str(name): member for name, member in value.items()})
        case list() | tuple():
            content = b"".join(map(_field, value))
            return b"A%b%b" % (_length.pack(len(content)), content)
        case datetime() if value.timestamp() >= 0:
            return _time.pack(b"T", int(value.timestamp()))
        case Decimal() if (parts := _scale_and_number(value)) is not None:
            return _scaled.pack(b"D", *parts)
    return _field(str(value))


def _scale_and_number(value: Decimal) -> tuple[int, int] | None:
    """Split a decimal as AMQP carries it; None where it cannot (too large, too fine, NaN)."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent not in _EXPONENTS:
        return None
    scale = max(0, -exponent)
    number = int(value.scaleb(scale))
    return (scale, number) if number in _INT32 else None
