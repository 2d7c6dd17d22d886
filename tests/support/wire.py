"""AMQP frames for tests: what a broker sends, and our own channels and parser that read it."""

import asyncio
import struct
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

from aiormq.abc import AbstractChannel
from pamqp import body, commands, frame, header
from pamqp.base import Frame

from common.broker.fastlane.confirming import ConfirmingChannel
from common.broker.fastlane.deliveries import Subscription
from common.broker.fastlane.parser import FrameParser
from common.broker.fastlane.transport import Lane
from common.message import UNREADABLE, Delivery, Message, Publishing

FRAME_MAX = 64
"""Less than AMQP allows, so that a test can cut a stream of many frames at every byte."""
CONSUMING, PUBLISHING, FOREIGN = 1, 2, 3
"""Channels of a `Reading`; what belongs to the last, and to channel 0, is aiormq's."""


def method(channel: int, what: Frame) -> bytes:
    """Return a method as a whole frame."""
    return frame.marshal(what, channel)


def payload(what: Frame | header.ContentHeader) -> bytes:
    """Return what is in the frame of a method or content header."""
    return frame.marshal(what, 1)[7:-1]


def raw_frame(kind: int, channel: int, data: bytes) -> bytes:
    """Return a frame of any bytes."""
    return struct.pack(">BHI", kind, channel, len(data)) + data + b"\xce"


def content(
    channel: int, data: bytes, properties: commands.Basic.Properties | None = None
) -> bytes:
    """Return the header and body frames of a message."""
    size = FRAME_MAX - 8
    head = header.ContentHeader(body_size=len(data), properties=properties)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return frame.marshal(head, channel) + b"".join(
        frame.marshal(body.ContentBody(part), channel) for part in parts
    )


def delivery(
    channel: int, tag: int, data: bytes, properties: commands.Basic.Properties | None = None
) -> bytes:
    """Return the frames of a delivery."""
    announced = commands.Basic.Deliver("a-consumer", tag, tag % 2 == 0, "exchange", "key")
    return method(channel, announced) + content(channel, data, properties)


def returned(channel: int, publishing: Publishing) -> bytes:
    """Return the frames of a return."""
    exchange, key, message = publishing[:3]
    announced = commands.Basic.Return(312, "NO_ROUTE", exchange, key)
    properties = commands.Basic.Properties(message_id=message.message_id)
    return method(channel, announced) + content(channel, message.body, properties)


def content_header(size: int, *fields: tuple[int, bytes]) -> bytes:
    """Return a content header's payload from flags and the raw bytes that they announce."""
    flags = sum(flag for flag, _ in fields)
    return struct.pack(">HHQH", 60, 0, size, flags) + b"".join(data for _, data in fields)


def short(data: bytes) -> bytes:
    """Return a short string of these bytes, whatever they are."""
    return bytes((len(data),)) + data


def table(data: bytes) -> bytes:
    """Return a table of this content with its length."""
    return struct.pack(">I", len(data)) + data


class _Open:
    """What our channels hold of aiormq's: its number, and a future for its end."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Be closed."""


class Reading:
    """A parser with a subscription on one channel and `sent` publishes on another."""

    def __init__(self, *sent: Publishing) -> None:
        self.passed: list[bytes] = []
        """What went to aiormq, call by call."""
        self.taken: list[tuple[Any, ...]] = []
        self.answers: list[tuple[int, object]] = []
        self.parser = FrameParser(self.passed.append)
        lane = Lane()
        consuming, publishing = (
            cast("AbstractChannel", _Open(number)) for number in (CONSUMING, PUBLISHING)
        )
        self.subscription = Subscription(lane, consuming, prefetch=0, on_delivery=self._take)
        self.publisher = ConfirmingChannel(lane, publishing)
        for number, one in enumerate(sent, 1):
            self.publisher.sent(one, partial(self._answered, number), timeout=60)
        self.parser.channels[CONSUMING] = self.subscription
        self.parser.channels[PUBLISHING] = self.publisher

    def feed(self, chunks: Iterable[bytes]) -> "Reading":
        """Feed all chunks."""
        for chunk in chunks:
            self.parser.feed(chunk)
        return self

    @property
    def result(self) -> tuple[list[bytes], list[tuple[Any, ...]], list[tuple[int, object]]]:
        """What was passed on, taken, and answered."""
        return self.passed, self.taken, self.answers

    def _answered(self, number: int, answer: object) -> None:
        self.answers.append((number, answer))

    def _take(self, delivery: Delivery) -> None:
        message = delivery.message
        headers = dict(message.headers)  # decoded when asked for, and not before
        if UNREADABLE in headers:
            headers[UNREADABLE] = "for some reason"  # two ways to read it, two ways to say it
        self.taken.append((message._replace(headers=headers), *delivery[1:5]))


def message(number: int, size: int) -> Message:
    """Return a message of this size."""
    return Message(bytes([number % 256]) * size, message_id=f"m{number}")
