"""The content header by comparison with pamqp, and properties that nobody should send."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from common.broker.fastlane.properties import decode_content, encode_content
from common.broker.fastlane.wire import FrameError
from common.message import UNREADABLE, Message, Publishing
from support.wire import content_header, payload, short, table

SHORT = st.text(max_size=255).filter(lambda text: len(text.encode()) <= 255)
SECONDS = st.integers(0, 0xFFFFFFFF)
"""pamqp takes what is larger for milliseconds."""
HEADERS = st.dictionaries(st.text(max_size=20), st.text() | st.integers(-(2**63), 2**63 - 1))

TEXTS = (
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "message_id",
    "app_id",
)
"""Properties that have the same name here as in pamqp."""

PROPERTIES = st.builds(
    Basic.Properties,
    headers=st.none() | HEADERS,
    delivery_mode=st.none() | st.sampled_from([1, 2]),
    priority=st.none() | st.integers(0, 255),
    expiration=st.none() | st.integers(0).map(str),
    timestamp=st.none() | SECONDS.map(lambda value: datetime.fromtimestamp(value, UTC)),
    message_type=st.none() | SHORT,
    user_id=st.none() | SHORT,
    **{name: st.none() | SHORT for name in TEXTS},
)


@given(PROPERTIES, st.integers(0, 2**64 - 1))
def test_we_read_every_property_that_pamqp_writes(sent: Basic.Properties, size: int) -> None:
    written = payload(ContentHeader(body_size=size, properties=sent))
    pamqps = ContentHeader()
    pamqps.unmarshal(written)

    found = decode_content(written)
    message = Message(b"", *found.properties)

    assert found.size == size
    assert_same(message, pamqps.properties)


MESSAGES = st.builds(
    Message,
    body=st.binary(max_size=9),
    timestamp=st.none() | SECONDS,
    priority=st.none() | st.integers(0, 255),
    headers=HEADERS,
    type=st.none() | SHORT,
    **{name: st.none() | SHORT for name in TEXTS},
)


@given(MESSAGES, st.none() | st.integers(0, 10**9))
def test_pamqp_reads_every_property_that_we_write(message: Message, expires: int | None) -> None:
    written = encode_content(Publishing("e", "k", message, expires))
    pamqps = ContentHeader()
    pamqps.unmarshal(written)

    assert pamqps.body_size == len(message.body)
    assert_same(message, pamqps.properties)
    assert pamqps.properties.delivery_mode == 2
    assert pamqps.properties.expiration == (None if expires is None else str(expires * 1000))
    assert Message(message.body, *decode_content(written).properties) == message


def assert_same(ours: Message, theirs: Basic.Properties) -> None:
    for name in (*TEXTS, "priority"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.type == theirs.message_type
    assert dict(ours.headers) == (theirs.headers or {})
    assert ours.timestamp == (theirs.timestamp and int(theirs.timestamp.timestamp()))


RAW = st.binary(max_size=255).map(short)


IN_ORDER = {
    0x8000: RAW,  # content type
    0x4000: RAW,  # encoding
    0x2000: st.lists(RAW, min_size=1, unique=True).map(lambda names: _headers(*names)),
    0x0800: st.binary(min_size=1, max_size=1),  # priority
    0x0400: RAW,  # correlation id
    0x0200: RAW,  # reply to
    0x0080: RAW,  # message id
    0x0040: st.binary(min_size=8, max_size=8),  # timestamp
    0x0020: RAW,  # type
    0x0008: RAW,  # app id
}
"""What we keep of a message, as it stands on the wire; and it is always persistent."""


@given(st.fixed_dictionaries({0x1000: st.just(b"\x02")}, optional=IN_ORDER))
def test_whatever_bytes_a_message_has_are_sent_on_byte_for_byte(raw: dict[int, bytes]) -> None:
    """A property that is not UTF-8, a time past year 9999: a dead letter keeps them all."""
    received = content_header(0, *sorted(raw.items(), reverse=True))

    message = Message(b"", *decode_content(received).properties)

    assert encode_content(Publishing("", "", message)) == received


def _headers(*names: bytes) -> bytes:
    """Return a table of these names; each value is bytes that are not UTF-8."""
    return table(b"".join(name + b"S" + table(b"\xff\xfe") for name in names))


def test_a_mode_and_a_property_that_amqp_does_not_know_are_read_past() -> None:
    payload = content_header(
        7,
        (0x1000, b"\x03"),
        (0x0100, short(b"soon")),
        (0x0080, short(b"id")),
        (0x0010, short(b"\xff")),
        (0x0008, short(b"app")),
        (0x0004, short(b"cluster")),
    )

    assert decode_content(payload).size == 7
    assert Message(b"", *decode_content(payload).properties) == Message(
        b"", message_id="id", app_id="app"
    )


BROKEN = {
    "a text without its length": content_header(5, (0x8000, b"")),
    "a text that is cut off": content_header(5, (0x8000, b"\x09abc")),
    "headers without their length": content_header(5, (0x2000, b"\x00\x00")),
    "headers that are cut off": content_header(5, (0x2000, b"\x00\x00\x00\x09abc")),
    "no mode": content_header(5, (0x1000, b"")),
    "no priority": content_header(5, (0x0800, b"")),
    "an expiration that is cut off": content_header(5, (0x0100, b"\x09abc")),
    "a time that is cut off": content_header(5, (0x0040, b"\x00\x00\x00")),
    "a user that is cut off": content_header(5, (0x0010, b"\x09abc")),
    "an app that is cut off": content_header(5, (0x0008, b"\x09abc")),
    "flags that go on": content_header(5, (0x8001, b"\x00\x00\x01a")),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_properties_that_cannot_be_read_leave_the_reason_and_the_size(broken: bytes) -> None:
    """Only so can the message be settled, and set aside."""
    found = decode_content(broken)

    assert found.size == 5
    assert list(Message(b"", *found.properties).headers) == [UNREADABLE]


@given(st.binary(min_size=14, max_size=200))
def test_any_bytes_behind_the_size_are_properties_or_unreadable(payload: bytes) -> None:
    found = decode_content(payload)
    message = Message(b"", *found.properties)

    assert found.size == int.from_bytes(payload[4:12], "big")
    assert decode_content(encode_content(Publishing("", "", message))).properties


@given(st.binary(max_size=13))
def test_a_header_without_the_size_is_a_frame_error(payload: bytes) -> None:
    with pytest.raises(FrameError):
        decode_content(payload)


@pytest.mark.parametrize("text", ["ü" * 128, "\ud800"], ids=["too long", "half a pair"])
def test_a_text_that_no_property_holds_is_refused(text: str) -> None:
    for message in (
        Message(b"", content_type=text),
        Message(b"", content_encoding=text),
        Message(b"", message_id=text),
        Message(b"", correlation_id=text),
        Message(b"", reply_to=text),
        Message(b"", type=text),
        Message(b"", app_id=text),
    ):
        with pytest.raises(FrameError):
            encode_content(Publishing("", "", message))


def test_numbers_that_no_property_holds_are_clipped() -> None:
    for number, priority, seconds in ((-1, 0, 0), (2**70, 255, 2**64 - 1)):
        message = Message(b"", timestamp=number, priority=number)
        written = encode_content(Publishing("", "", message))

        assert Message(b"", *decode_content(written).properties) == Message(
            b"", timestamp=seconds, priority=priority
        )
