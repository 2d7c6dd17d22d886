"""The few methods that travel on the lane, written and read. PURE.

Source: AMQP 0-9-1 specification, class basic; RabbitMQ's extensions basic.nack (also towards the
client, as the answer to a publish) and connection.blocked.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

from common.broker.fastlane.wire import BASIC, METHOD, FrameError, frame, read_short, short

Kind = int
"""Class and method, as one number of four bytes."""

CONNECTION_CLOSE: Kind = 10 << 16 | 50
CONNECTION_BLOCKED: Kind = 10 << 16 | 60
CONNECTION_UNBLOCKED: Kind = 10 << 16 | 61
CHANNEL_CLOSE: Kind = 20 << 16 | 40
RETURN: Kind = BASIC << 16 | 50
DELIVER: Kind = BASIC << 16 | 60
ACK: Kind = BASIC << 16 | 80
NACK: Kind = BASIC << 16 | 120

_PUBLISH, _REJECT = BASIC << 16 | 40, BASIC << 16 | 90
_MANDATORY, _REQUEUE, _MULTIPLE = 1, 2, 1

_kind = struct.Struct(">I")
_publish_head = struct.Struct(">IH")
_answer = struct.Struct(">QB")
_settle = struct.Struct(">BHIIQBB")
"""A whole frame: its head, the method, the tag, the flags, the end mark."""
_PAYLOAD = 13


class Deliver(NamedTuple):
    """A delivery is coming: its content follows. A channel has one consumer, so its tag is left."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str


class Return(NamedTuple):
    """A publish went to no queue: its content follows."""

    code: int
    text: str
    exchange: str
    routing_key: str


class Settled(NamedTuple):
    """The broker's ack or nack of one publish, or of all up to one."""

    tag: int
    multiple: bool


class Closed(NamedTuple):
    """Why the broker closed a channel or the connection."""

    code: int
    text: str


def kind_of(payload: bytes) -> Kind:
    """Tell which method a payload is; 0 for none."""
    return _kind.unpack_from(payload)[0] if len(payload) >= _kind.size else 0


def decode_deliver(payload: bytes) -> Deliver:
    """Read basic.deliver. Raises FrameError."""
    try:
        at = 5 + payload[4]
        tag, flags = _answer.unpack_from(payload, at)
    except (struct.error, IndexError):
        raise FrameError("a delivery is cut off") from None
    exchange, routing_key = route_of(payload[at + 9 :])
    return Deliver(tag, flags & 1 == 1, exchange, routing_key)


@lru_cache(maxsize=1024)
def route_of(data: bytes) -> tuple[str, str]:
    """Read exchange and routing key: a queue sees few, again and again."""
    exchange, at = read_short(data, 0)
    return exchange, read_short(data, at)[0]


def decode_return(payload: bytes) -> Return:
    """Read basic.return. Raises FrameError."""
    code, text, at = _code_and_text(payload)
    exchange, routing_key = route_of(payload[at:])
    return Return(code, text, exchange, routing_key)


def decode_settled(payload: bytes) -> Settled:
    """Read basic.ack or basic.nack. Raises FrameError."""
    try:
        tag, flags = _answer.unpack_from(payload, 4)
    except struct.error:
        raise FrameError("a confirm is cut off") from None
    return Settled(tag, bool(flags & _MULTIPLE))


def decode_close(payload: bytes) -> Closed:
    """Read channel.close or connection.close. Raises FrameError."""
    code, text, _ = _code_and_text(payload)
    return Closed(code, text)


def decode_reason(payload: bytes) -> str:
    """Read the reason of connection.blocked. Raises FrameError."""
    return read_short(payload, 4)[0]


@lru_cache(maxsize=1024)
def publish_frame(channel: int, exchange: str, routing_key: str) -> bytes:
    """Write basic.publish, mandatory, as a whole frame. Raises FrameError."""
    head = _publish_head.pack(_PUBLISH, 0)
    payload = b"%b%b%b%c" % (head, short(exchange), short(routing_key), _MANDATORY)
    return frame(METHOD, channel, payload)


def ack_frame(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Write basic.ack as a whole frame."""
    return _settle.pack(METHOD, channel, _PAYLOAD, ACK, tag, multiple, 0xCE)


def nack_frame(channel: int, tag: int) -> bytes:
    """Write basic.nack, back into the queue, as a whole frame."""
    return _settle.pack(METHOD, channel, _PAYLOAD, NACK, tag, _REQUEUE, 0xCE)


def reject_frame(channel: int, tag: int) -> bytes:
    """Write basic.reject, back into the queue, as a whole frame."""
    return _settle.pack(METHOD, channel, _PAYLOAD, _REJECT, tag, 1, 0xCE)


def _code_and_text(payload: bytes) -> tuple[int, str, int]:
    if len(payload) < 6:  # noqa: PLR2004 - the method and the code
        raise FrameError("a reply code is cut off")
    text, at = read_short(payload, 6)
    return int.from_bytes(payload[4:6], "big"), text, at
