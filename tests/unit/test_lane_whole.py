"""The short way to read a delivery gives what the long way gives, or leaves it to that."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.broker.fastlane.content import Assembly
from common.broker.fastlane.methods import DELIVER, Deliver, decode_deliver
from common.broker.fastlane.parser import FrameParser
from common.broker.fastlane.properties import encode_content
from common.broker.fastlane.whole import whole_delivery
from common.broker.fastlane.wire import BODY, HEADER, METHOD, FrameError, frame, short
from common.message import Message, Publishing

CHANNEL = 3
EVENT = Message(
    b'{"specversion":"1.0"}' * 10,
    content_type="application/cloudevents+json",
    message_id="1",
    type="order.created",
    headers={"traceparent": "00-1-2-01"},
)


def delivery(message: Message, *, tag: int = 1, redelivered: bool = False) -> bytes:
    """Write a delivery as a broker does; its body in one frame."""
    method = struct.pack(">I", DELIVER) + short("ctag") + struct.pack(">QB", tag, redelivered)
    parts = [
        frame(METHOD, CHANNEL, method + short("events") + short("order.created")),
        frame(HEADER, CHANNEL, encode_content(Publishing("", "", message))),
    ]
    if message.body:
        parts.append(frame(BODY, CHANNEL, message.body))
    return b"".join(parts)


class FrameByFrame:
    """A channel that never takes the short way."""

    def __init__(self) -> None:
        self.found: list[tuple[Deliver, Message]] = []
        self._assembly = Assembly[Deliver](lambda *whole: self.found.append(whole))

    def frame(self, kind: int, payload: bytes) -> bool:
        if kind == METHOD:
            self._assembly.begin(decode_deliver(payload))
        else:
            self._assembly.add(kind, payload)
        return True

    def frames(self, _: bytes, at: int, __: int) -> int:
        return at


def long_way(chunk: bytes) -> list[tuple[Deliver, Message]]:
    channel = FrameByFrame()
    parser = FrameParser(lambda _: None)
    parser.channels[CHANNEL] = channel
    parser.feed(chunk)
    return channel.found


texts = st.none() | st.text(max_size=20)
messages = st.builds(
    Message,
    body=st.binary(min_size=1, max_size=300),
    content_type=texts,
    content_encoding=texts,
    message_id=texts,
    correlation_id=texts,
    reply_to=texts,
    type=texts,
    app_id=texts,
    timestamp=st.none() | st.integers(0, 2**64 - 1),
    priority=st.none() | st.integers(0, 255),
    headers=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(-9, 9)),
)


@given(messages, st.integers(1, 2**63), st.booleans(), st.binary(max_size=20))
def test_both_ways_read_the_same(
    message: Message,
    tag: int,
    redelivered: bool,  # noqa: FBT001 - drawn by Hypothesis
    before: bytes,
) -> None:
    chunk = before + delivery(message, tag=tag, redelivered=redelivered)

    found = whole_delivery(chunk, len(before), len(chunk), CHANNEL)

    ((method, read),) = long_way(chunk[len(before) :])
    assert found is not None
    assert found.end == len(chunk)
    assert (*found[1:5], found.message) == (*method, read)
    assert read == message


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(delivery(EVENT)[:-1], id="cut off"),
        pytest.param(delivery(EVENT._replace(body=b"")), id="no body"),
        pytest.param(delivery(EVENT).replace(b"\xce", b"\xcf", 1), id="no end mark"),
        pytest.param(frame(METHOD, CHANNEL, struct.pack(">I", DELIVER)) * 9, id="no content"),
        pytest.param(delivery(EVENT)[40:], id="not the beginning"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_long_way(chunk: bytes) -> None:
    assert whole_delivery(chunk, 0, len(chunk), CHANNEL) is None


def test_another_channels_delivery_is_left_to_it() -> None:
    chunk = delivery(EVENT)

    assert whole_delivery(chunk, 0, len(chunk), CHANNEL + 1) is None


@given(st.data())
def test_a_damaged_delivery_is_read_as_the_long_way_reads_it_or_not_at_all(
    data: st.DataObject,
) -> None:
    chunk = bytearray(delivery(EVENT))
    for _ in range(data.draw(st.integers(1, 4))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(chunk)

    try:
        found = whole_delivery(damaged, 0, len(damaged), CHANNEL)
    except FrameError:
        with pytest.raises(FrameError):
            long_way(damaged)
        return
    if found is not None:
        ((method, read),) = long_way(damaged)
        assert (*found[1:5], dict(found.message.headers)) == (*method, dict(read.headers))
        assert found.message._replace(headers={}) == read._replace(headers={})
