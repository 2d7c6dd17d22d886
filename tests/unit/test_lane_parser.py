"""The stream of frames, cut anywhere; and what is no stream of frames."""

import functools
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, heartbeat

from common.broker.fastlane.parser import LARGEST_FRAME
from common.broker.fastlane.wire import FrameError
from common.message import Confirmed, Nacked, Publishing, Returned
from support.wire import (
    CONSUMING,
    FOREIGN,
    FRAME_MAX,
    PUBLISHING,
    Reading,
    content_header,
    delivery,
    message,
    method,
    payload,
    raw_frame,
    returned,
    short,
    table,
)

SENT = [Publishing("exchange", "key", message(number, size=number)) for number in range(6)]
ROOM = FRAME_MAX - 8
SIZES = (0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM + 5, 300)
PROPERTIES = commands.Basic.Properties(
    content_type="text/plain",
    headers={"a": 1, "b": ["x", {"c": True}]},
    message_id="id",
    message_type="type",
)
FRAMES = [
    method(FOREIGN, commands.Channel.OpenOk()),
    delivery(CONSUMING, 1, b"plain", PROPERTIES),
    *[delivery(CONSUMING, tag, b"%d" % tag * size) for tag, size in enumerate(SIZES, 2)],
    heartbeat.Heartbeat().marshal(),
    method(PUBLISHING, commands.Basic.Ack(1)),
    returned(PUBLISHING, SENT[1]),
    delivery(FOREIGN, 1, b"not ours"),
    method(PUBLISHING, commands.Basic.Ack(3, multiple=True)),
    method(PUBLISHING, commands.Basic.Nack(4)),
    method(0, commands.Connection.Blocked("low on memory")),
    delivery(CONSUMING, 20, b"last", PROPERTIES),
    method(CONSUMING, commands.Basic.QosOk()),
]
STREAM = b"".join(FRAMES)
FOREIGN_BYTES = FRAMES[0] + FRAMES[9] + FRAMES[12] + FRAMES[15] + FRAMES[17]


def cut(stream: bytes, *places: int) -> list[bytes]:
    edges = [0, *sorted(places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


async def test_everything_goes_where_it_belongs() -> None:
    passed, taken, answers = Reading(*SENT).feed([STREAM]).result

    assert [one[0].body for one in taken] == [
        b"plain",
        *[b"%d" % tag * size for tag, size in enumerate(SIZES, 2)],
        b"last",
    ]
    assert [one[4] for one in taken] == [*range(1, 9), 20]
    assert taken[0][0].headers == {"a": 1, "b": ["x", {"c": True}]}
    assert taken[0][1:4] == ("exchange", "key", False)
    assert answers == [
        (1, Confirmed()),
        (2, Returned("312 NO_ROUTE")),
        (3, Confirmed()),
        (4, Nacked()),
    ]
    assert b"".join(passed) == FOREIGN_BYTES
    assert len(passed) == 7  # whole frames, one by one


async def test_a_cut_at_any_byte_changes_nothing() -> None:
    whole = Reading(*SENT).feed([STREAM]).result

    for place in range(1, len(STREAM)):
        assert Reading(*SENT).feed(cut(STREAM, place)).result == whole, place


async def test_byte_by_byte_is_the_same() -> None:
    whole = Reading(*SENT).feed([STREAM]).result

    assert Reading(*SENT).feed(STREAM[at : at + 1] for at in range(len(STREAM))).result == whole


@given(st.sets(st.integers(1, len(STREAM) - 1)), st.lists(st.sampled_from(FRAMES[1:9])))
async def test_any_cuts_change_nothing(places: set[int], more: list[bytes]) -> None:
    stream = STREAM + b"".join(more)

    assert Reading(*SENT).feed(cut(stream, *places)).result == Reading(*SENT).feed([stream]).result


async def test_what_is_held_is_the_frame_that_is_not_complete() -> None:
    reading = Reading()
    frame = delivery(FOREIGN, 1, b"x" * 300)

    for at in range(len(frame)):
        reading.feed([frame[at : at + 1]])
        assert reading.parser.held + len(b"".join(reading.passed)) == at + 1
    assert reading.parser.held == 0


async def test_a_frame_may_be_large_but_not_larger_and_no_more_is_held() -> None:
    reading = Reading()
    piece = b"x" * 2**20
    reading.feed([b"\x03\x00\x03" + LARGEST_FRAME.to_bytes(4, "big")])
    for number in range(16):
        assert reading.parser.held == 7 + number * len(piece)
        reading.feed([piece])
    reading.feed([b"\xce\x01"])
    assert (reading.parser.held, len(reading.passed[0])) == (1, LARGEST_FRAME + 8)

    with pytest.raises(FrameError, match="are the most we take"):
        reading.feed([b"\x00\x03" + (LARGEST_FRAME + 1).to_bytes(4, "big")])
    assert reading.parser.held <= 7


ACK = payload(commands.Basic.Ack(1))
DELIVER = payload(commands.Basic.Deliver("consumer", 1, exchange="", routing_key=""))
RETURN = payload(commands.Basic.Return(312, "NO_ROUTE", "", "k"))


def framed(channel: int, *frames: tuple[int, bytes]) -> bytes:
    return b"".join(raw_frame(kind, channel, data) for kind, data in frames)


consumed = functools.partial(framed, CONSUMING)
published = functools.partial(framed, PUBLISHING)

NOT_AMQP = {
    "a frame that does not end": method(FOREIGN, commands.Channel.OpenOk())[:-1] + b"\x00",
    "a delivery that does not end": delivery(CONSUMING, 1, b"x" * 50)[:-1] + b"\x00",
    "content without a method": consumed((2, content_header(1))),
    "a body without a method": consumed((3, b"x")),
    "a body without a header": consumed((1, DELIVER), (3, b"x" * 60)),
    "two methods": consumed((1, DELIVER), (1, DELIVER)),
    "a method within content": consumed((1, DELIVER), (2, content_header(9)), (1, DELIVER)),
    "two headers": consumed((1, DELIVER), (2, content_header(9)), (2, content_header(9))),
    "a body longer than announced": consumed((1, DELIVER), (2, content_header(9)), (3, b"x" * 10)),
    "a body where none was announced": consumed((1, DELIVER), (2, content_header(0)), (3, b"x")),
    "an empty body where none was announced": consumed(
        (1, DELIVER), (2, content_header(0)), (3, b"")
    ),
    "a heartbeat within content": consumed((1, DELIVER), (8, b"")),
    "a content header that is cut off": consumed((1, DELIVER), (2, b"\x00\x3c"), (3, b"x" * 60)),
    "a content header without its flags": consumed(
        (1, DELIVER), (2, content_header(60)[:-2]), (3, b"x" * 60)
    ),
    "a delivery that is cut off": consumed((1, DELIVER[:9])),
    "a confirm that is cut off": published((1, ACK[:9])),
    "a return that is cut off": published((1, RETURN[:9])),
    "a return within a return": published((1, RETURN), (1, RETURN)),
    "a reason that is cut off": consumed((1, payload(commands.Channel.CloseOk())[:3] + b"\x28")),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("stream", NOT_AMQP.values(), ids=NOT_AMQP)
async def test_what_makes_no_sense_is_a_frame_error(stream: bytes, bytewise: bool) -> None:  # noqa: FBT001 - a parameter of the test
    chunks = [stream[at : at + 1] for at in range(len(stream))] if bytewise else [stream]

    with pytest.raises(FrameError):
        Reading().feed([FRAMES[0], *chunks])


@pytest.mark.parametrize(
    "reply", [b"AMQP\x00\x00\x09\x01", b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"]
)
async def test_a_peer_that_speaks_something_else_is_for_aiormq_to_explain(reply: bytes) -> None:
    for place in range(1, len(reply)):
        reading = Reading().feed(cut(reply, place))

        assert b"".join(reading.passed) == reply
        assert reading.parser.held == 0


async def test_a_message_whose_properties_cannot_be_read_is_delivered_with_its_body() -> None:
    """In one chunk and byte by byte: the neighbours behind it arrive too."""
    headers = table(short(b"n\xff") + b"?")
    for broken in (
        content_header(4, (0x8000, b"\x80abc")),
        content_header(4, (0x2000, headers)),
        content_header(4, (0x2000, b"\x00\x00\xff\xff")),
        content_header(4, (0x8000, b"")),
    ):
        stream = consumed((1, DELIVER), (2, broken), (3, b"body")) + FRAMES[1]
        for chunks in ([stream], cut(stream, *range(len(stream)))):
            first, second = Reading().feed(chunks).taken
            assert first[0].body == b"body"
            assert list(first[0].headers) == ["tidings-unreadable"]
            assert second[0].body == b"plain"
