"""Header tables by comparison with pamqp, and what RabbitMQ passes on but no table should hold."""

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode, encode

from common.broker.fastlane.tables import (
    MAX_DEPTH,
    decode_table,
    encode_table,
    headers_of,
)
from common.broker.fastlane.wire import FrameError
from common.message import UNREADABLE, HeaderValue
from support.wire import short, table

SECONDS = st.integers(0, 0xFFFFFFFF)
"""pamqp takes what is larger for milliseconds."""
INT32 = st.integers(-(2**31), 2**31 - 1)


def numbers(kind: bytes, layout: str, least: int, most: int) -> st.SearchStrategy[bytes]:
    return st.integers(least, most).map(lambda value: kind + struct.pack(layout, value))


def sized(kind: bytes, content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return content.map(lambda data: kind + table(data))


def named(fields: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    names = st.text(max_size=20).map(lambda name: short(name.encode()))
    return st.lists(st.builds(bytes.__add__, names, fields), max_size=5).map(b"".join)


FIELDS = st.recursive(
    st.one_of(
        numbers(b"t", ">B", 0, 1),
        numbers(b"b", ">b", -(2**7), 2**7 - 1),
        numbers(b"B", ">B", 0, 2**8 - 1),
        numbers(b"s", ">h", -(2**15), 2**15 - 1),
        numbers(b"u", ">H", 0, 2**16 - 1),
        INT32.map(lambda value: b"I" + struct.pack(">i", value)),
        numbers(b"i", ">I", 0, 2**32 - 1),
        numbers(b"l", ">q", -(2**63), 2**63 - 1),
        numbers(b"L", ">q", -(2**63), 2**63 - 1),
        SECONDS.map(lambda value: b"T" + struct.pack(">Q", value)),
        st.floats(allow_nan=False, width=32).map(lambda value: b"f" + struct.pack(">f", value)),
        st.floats(allow_nan=False).map(lambda value: b"d" + struct.pack(">d", value)),
        st.tuples(st.integers(0, 255), INT32).map(lambda parts: b"D" + struct.pack(">Bi", *parts)),
        st.just(b"V"),
        sized(b"S", st.text().map(str.encode) | st.binary()),
        sized(b"x", st.binary()),
    ),
    lambda inner: (
        sized(b"A", st.lists(inner, max_size=5).map(b"".join)) | sized(b"F", named(inner))
    ),
    max_leaves=12,
)
"""A value on the wire, with its type: each type that RabbitMQ knows."""


def as_ours(value: object) -> object:
    """Return pamqp's reading as we mean it: bytes are bytes, and what is no UTF-8 is a text."""
    match value:
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case bytearray():
            return bytes(value)
        case list():
            return [as_ours(one) for one in value]
        case dict():
            return {name: as_ours(one) for name, one in value.items()}
    return value


@given(named(FIELDS))
def test_we_read_every_type_as_pamqp_does(content: bytes) -> None:
    assert decode_table(content) == as_ours(decode.field_table(table(content))[1])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | SECONDS.map(lambda value: datetime.fromtimestamp(value, UTC))
    | st.builds(lambda n, scale: Decimal(n).scaleb(-scale), INT32, st.integers(0, 255)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=5))
def test_pamqp_reads_what_we_write(headers: dict[str, HeaderValue]) -> None:
    written = encode_table(headers)
    consumed, found = decode.field_table(written)

    assert (consumed, as_ours(found)) == (len(written), headers)
    assert decode_table(written[4:]) == headers


@given(st.dictionaries(st.text(max_size=20), st.integers(-(2**63), 2**63 - 1) | st.text()))
def test_we_read_what_pamqp_writes(headers: dict[str, int | str]) -> None:
    assert decode_table(encode.field_table(dict(headers))[4:]) == headers


@given(st.lists(st.tuples(st.binary(max_size=255), st.binary()), unique_by=lambda one: one[0]))
def test_bytes_that_are_no_utf8_are_read_and_written_back_byte_for_byte(
    pairs: list[tuple[bytes, bytes]],
) -> None:
    content = b"".join(short(name) + b"S" + table(value) for name, value in pairs)

    assert encode_table(decode_table(content)) == table(content)


@pytest.mark.parametrize("seconds", [253402300800, 2**62, 1_700_000_000_000_000, 2**64 - 1])
def test_a_time_past_every_calendar_stays_a_number(seconds: int) -> None:
    content = short(b"at") + b"T" + struct.pack(">Q", seconds)

    assert decode_table(content) == {"at": seconds}


@given(
    st.integers(2**63)
    | st.integers(max_value=-(2**63) - 1)
    | st.decimals(max_value=-(2**32), allow_nan=False)
    | st.decimals(min_value=2**32, allow_nan=False)
    | st.sampled_from([Decimal("NaN"), Decimal("1E-3000000"), Decimal("1E+3000000")])
    | st.datetimes(max_value=datetime(1969, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
    | st.sets(st.integers())
)
def test_what_amqp_has_no_type_for_is_written_as_text(value: object) -> None:
    assert decode_table(encode_table({"x": value})[4:]) == {"x": str(value)}


@pytest.mark.parametrize("kind", [b"F", b"A"])
def test_headers_are_nested_so_deep_and_no_deeper(kind: bytes) -> None:
    """A recursion that a sender chooses the depth of would end the process."""

    def nested(depth: int) -> bytes:
        name = short(b"x") if kind == b"F" else b""
        content = name + b"V"
        for _ in range(depth - 1):
            content = name + kind + table(content)
        return short(b"top") + kind + table(content)

    assert decode_table(nested(MAX_DEPTH))["top"]
    with pytest.raises(FrameError, match="nested"):
        decode_table(nested(MAX_DEPTH + 1))
    with pytest.raises(FrameError, match="nested"):
        decode_table(nested(20_000))


BROKEN = {
    "an unknown type": short(b"x") + b"Z1",
    "a name that is cut off": b"\x09abc",
    "a name without a value": short(b"x"),
    "a number that is cut off": short(b"x") + b"l\x00\x00",
    "a text without its length": short(b"x") + b"S\x00",
    "a text that is longer than its table": short(b"x") + b"S\x00\x00\x00\x09abc",
    "a table that is longer than its table": short(b"x") + b"F\xff\xff\xff\xff",
    "a list whose member is cut off": short(b"x") + b"A" + table(b"l\x00"),
    "a number that goes on past the end of its table": (
        short(b"x") + b"F" + table(short(b"y") + b"l\x00\x00") + short(b"z") + b"l" + bytes(8)
    ),
    "a name that goes on past the end of its table": (
        short(b"x") + b"F" + table(b"\x04y") + short(b"z") + b"l" + bytes(8)
    ),
    "a number that goes on past the end of its list": (
        short(b"x") + b"A" + table(b"l\x00") + short(b"z") + b"l" + bytes(8)
    ),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_table_is_one_header_that_says_so(content: bytes) -> None:
    with pytest.raises(FrameError):
        decode_table(content)

    assert list(headers_of(content)) == [UNREADABLE]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_frame_error(content: bytes) -> None:
    headers = headers_of(content)

    assert dict(headers) == dict(headers)  # reading twice is reading once
    assert encode_table(headers)


def test_a_text_that_utf8_cannot_hold_is_refused_and_nothing_else_is_raised() -> None:
    for headers in ({"x": "\ud800"}, {"\ud800": 1}, {"x": ["\ud800"]}):
        with pytest.raises(FrameError):
            encode_table(headers)
