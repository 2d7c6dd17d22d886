"""Frames and short strings of AMQP 0-9-1 on the wire. PURE.

Source: AMQP 0-9-1 specification, sections 2.3 and 4.2. RabbitMQ does not check that a text is
UTF-8, and passes on what it got: so what is not is kept, byte for byte, as surrogate escapes.
"""

import struct

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
FRAME_EXTRA = 8
"""Bytes of a frame around its payload: type, channel, size, and the end mark."""
BASIC = 60
"""The class of everything that has to do with messages."""
SHORT_MAX = 255
"""Bytes of a short string."""

HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

frame_head = struct.Struct(">BHI")
"""Type, channel, size of the payload."""


class FrameError(Exception):
    """What the peer sent, or we were asked to send, is not AMQP 0-9-1."""


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Write one frame."""
    return b"%b%b\xce" % (frame_head.pack(kind, channel, len(payload)), payload)


def short(text: str) -> bytes:
    """Write a short string. Raises FrameError when it is longer than 255 bytes, or no text."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise FrameError(f"{text[:40]!a} is no text: {error.reason}") from None
    if len(data) > SHORT_MAX:
        raise FrameError(f"'{text[:40]}…' is {len(data)} bytes; AMQP allows {SHORT_MAX} here")
    return b"%c%b" % (len(data), data)


def text_of(data: bytes) -> str:
    """Read a text, whatever it holds."""
    return data.decode("utf-8", "surrogateescape")


def read_short(data: bytes, at: int) -> tuple[str, int]:
    """Read a short string; return it and the position behind it. Raises FrameError."""
    if at >= len(data):
        raise FrameError("a short string is cut off")
    end = at + 1 + data[at]
    if end > len(data):
        raise FrameError("a short string is longer than what is left")
    return data[at + 1 : end].decode("utf-8", "surrogateescape"), end
