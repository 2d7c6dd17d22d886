"""Hostile bytes: the lane raises its own error and no other, and holds no more than it was given.

Each case is read twice, in one piece and in many: the short way through a chunk and the long one,
frame by frame, must come to the same end.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest
from pamqp import commands

from common.broker.fastlane import methods
from common.broker.fastlane.properties import encode_content
from common.broker.fastlane.wire import BODY, HEADER, HEARTBEAT, METHOD, FrameError
from common.message import Publishing
from support.wire import (
    CONSUMING,
    FOREIGN,
    PUBLISHING,
    Reading,
    content_header,
    delivery,
    message,
    method,
    payload,
    raw_frame,
    returned,
)

CASES = 2500
"""Of each of the four kinds: 10,000 in all."""

SENT = [Publishing("exchange", "key", message(number, size=number)) for number in range(4)]
PROPERTIES = commands.Basic.Properties(
    content_type="text/plain",
    headers={"a": 1, "b": ["x", {"c": True}], "d": None},
    priority=3,
    message_id="id",
    message_type="type",
)
GREETING = method(FOREIGN, commands.Channel.OpenOk())
HONEST = b"".join(
    (
        GREETING,
        delivery(CONSUMING, 1, b"plain", PROPERTIES),
        delivery(CONSUMING, 2, b""),
        delivery(CONSUMING, 3, b"two frames" * 7, PROPERTIES),
        method(PUBLISHING, commands.Basic.Ack(1)),
        returned(PUBLISHING, SENT[1]),
        delivery(FOREIGN, 1, b"not ours"),
        method(PUBLISHING, commands.Basic.Nack(3, multiple=True)),
        delivery(CONSUMING, 4, b"last", PROPERTIES),
    )
)
METHODS = [
    payload(commands.Basic.Deliver("consumer", 1, exchange="exchange", routing_key="key")),
    payload(commands.Basic.Return(312, "NO_ROUTE", "exchange", "key")),
    payload(commands.Basic.Ack(1, multiple=True)),
    payload(commands.Basic.Nack(2)),
    payload(commands.Channel.Close(406, "PRECONDITION_FAILED", 60, 40)),
    *[kind.to_bytes(4, "big") for kind in (methods.DELIVER, methods.RETURN, methods.ACK)],
]


def mutated(dice: Random) -> bytes:
    """Return an honest stream with a few bytes changed, lost, or doubled."""
    found = bytearray(HONEST)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(found))
        some = found[at : at + dice.randint(1, 9)]
        match dice.randrange(4):
            case 0:
                found[at] = dice.randrange(256)
            case 1:
                found[at] ^= 1 << dice.randrange(8)
            case 2:
                del found[at : at + len(some)]
            case _:
                found[at:at] = some
    return bytes(found)


def framed_rubbish(dice: Random) -> bytes:
    """Return frames that are whole, of methods that are known, with rubbish inside."""
    frames = []
    for _ in range(dice.randint(1, 8)):
        rubbish = dice.randbytes(dice.randrange(40))
        kind, data = dice.choice(
            [
                (METHOD, dice.choice(METHODS)),
                (METHOD, dice.choice(METHODS) + rubbish),
                (HEADER, content_header(dice.randrange(50))[:-2] + rubbish),
                (BODY, rubbish),
                (HEARTBEAT, rubbish),
                (dice.randrange(256), rubbish),
            ]
        )
        frames.append(raw_frame(kind, dice.choice((CONSUMING, PUBLISHING, FOREIGN, 0)), data))
    return GREETING + b"".join(frames)


def odd_messages(dice: Random) -> bytes:
    """Return deliveries as they should be, but for their properties."""
    stream = GREETING
    for _ in range(dice.randint(1, 4)):
        body = dice.randbytes(dice.randint(1, 20))
        head = content_header(len(body))[:-2] + dice.randbytes(2) + dice.randbytes(60)
        stream += raw_frame(METHOD, CONSUMING, METHODS[0]) + raw_frame(HEADER, CONSUMING, head)
        stream += raw_frame(BODY, CONSUMING, body)
    return stream


def rubbish(dice: Random) -> bytes:
    """Return anything, now and then behind an honest frame."""
    return dice.choice((b"", GREETING)) + dice.randbytes(dice.randrange(200))


def outcome(chunks: Iterable[bytes]) -> tuple[Any, ...]:
    """Read it; return all that came of it. Any error but FrameError fails the test."""
    reading, fed, failed = Reading(*SENT), 0, False
    try:
        for chunk in chunks:
            fed += len(chunk)
            reading.feed([chunk])
            assert reading.parser.held <= fed
    except FrameError:
        failed = True
    numbers = [number for number, _ in reading.answers]
    assert len(set(numbers)) == len(numbers), "answered twice"
    for taken, *_ in reading.taken:
        assert encode_content(Publishing("", "", taken))  # as a dead letter
    return failed, b"".join(reading.passed), reading.taken, reading.answers


@pytest.mark.parametrize("make", [mutated, framed_rubbish, odd_messages, rubbish])
async def test_hostile_bytes_raise_our_own_error_or_none_however_they_are_cut(
    make: Callable[[Random], bytes],
) -> None:
    for case in range(CASES):
        dice = Random(f"{make.__name__} {case}")
        stream = make(dice)
        step = dice.randint(1, 50)
        chunks = [stream[at : at + step] for at in range(0, len(stream), step)]

        assert repr(outcome(chunks)) == repr(outcome([stream])), case  # as text: NaN is not NaN
