"""Publish on the lane with confirms: always mandatory and persistent, each with a deadline."""

import asyncio

from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from common.broker.fastlane.confirming import Answered, ConfirmingChannel
from common.broker.fastlane.methods import publish_frame
from common.broker.fastlane.properties import encode_content
from common.broker.fastlane.transport import Lane
from common.broker.fastlane.wire import BODY, FRAME_EXTRA, HEADER, FrameError, frame, frame_head
from common.errors import AccessRefused, InvalidEvent
from common.message import Answer, Publishing, Unknown
from common.stopping import asked_to_stop

OPEN_SECONDS = 10.0
PAUSE_SECONDS = 0.1
"""Between two tries to open a channel that the broker did not open."""
DEFAULT_FRAME = 128 * 1024
_GONE = (AMQPError, ChannelInvalidStateError, OSError, RuntimeError, TimeoutError)


class Publisher:
    """Publishes on a channel of its own; opens another when that one is over.

    Publishes under way are as many as the callers have: each brings a window of its own.
    """

    def __init__(self, connection: AbstractConnection, lane: Lane) -> None:
        self._connection = connection
        self._lane = lane
        self._largest = (connection.connection_tune.frame_max or DEFAULT_FRAME) - FRAME_EXTRA
        self._channel: ConfirmingChannel | None = None
        self._opening = asyncio.Lock()

    @property
    def sendable(self) -> bool:
        """Whether `send` may be called now."""
        channel = self._channel
        return channel is not None and not channel.ended and self._lane.sendable

    async def until_sendable(self) -> None:
        """Wait until `sendable`, opening a channel where there is none; or until it is over."""
        lane = self._lane
        while not (self.sendable or lane.ended.done()):
            if lane.sendable:
                await self._open()
            else:
                await lane.until_sendable()

    def send(self, publishing: Publishing, answered: Answered, *, timeout: float) -> None:
        """Publish now; `answered` is called once, later. Only while `sendable`.

        Raises InvalidEvent when the message cannot be written as AMQP.
        """
        channel = self._channel
        if channel is None:
            raise RuntimeError("send without a channel; wait for until_sendable")
        try:
            data = self._frames(channel.number, publishing)
        except FrameError as error:
            raise InvalidEvent(f"cannot be sent as an AMQP message: {error}") from error
        channel.sent(publishing, answered, timeout)
        self._lane.write(data)

    async def publish(self, publishing: Publishing, *, timeout: float) -> Answer:
        """Publish and wait, `timeout` seconds at most, for the broker's answer.

        Raises AccessRefused when the user may not publish there, InvalidEvent when the message
        cannot be written as AMQP or is larger than the broker takes. All else is an Answer.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        if not self.sendable:
            try:
                async with asyncio.timeout_at(deadline):
                    await self.until_sendable()
            except TimeoutError:
                return Unknown(f"not sent within {timeout:g} s{self._why()}")
            if not self.sendable:
                return Unknown(self._end())
        future: asyncio.Future[Answer | AccessRefused | InvalidEvent] = loop.create_future()

        def answered(answer: Answer | AccessRefused | InvalidEvent) -> None:
            if not future.done():
                future.set_result(answer)

        self.send(publishing, answered, timeout=deadline - loop.time())
        answer = await future
        if isinstance(answer, AccessRefused | InvalidEvent):
            raise answer
        return answer

    def _frames(self, number: int, publishing: Publishing) -> bytes:
        largest, body = self._largest, publishing.message.body
        content = encode_content(publishing)
        if len(content) > largest:
            raise FrameError(f"properties and headers of {len(content)} bytes, over {largest}")
        size, head = len(body), frame_head.pack
        method = publish_frame(number, publishing.exchange, publishing.routing_key)
        header = head(HEADER, number, len(content))
        if 0 < size <= largest:
            part = head(BODY, number, size)
            return b"%b%b%b\xce%b%b\xce" % (method, header, content, part, body)
        parts = [body[start : start + largest] for start in range(0, size, largest)]
        bodies = [frame(BODY, number, part) for part in parts]
        return b"".join((method, header, content, b"\xce", *bodies))

    async def _open(self) -> None:
        """Open a channel, one caller at a time; where it fails, return after a pause."""
        async with self._opening:
            if self._channel is not None and not self._channel.ended:
                return
            try:
                async with asyncio.timeout(OPEN_SECONDS):  # aiormq's own is for its first step only
                    raw = await self._channel_of_aiormq()
            except _GONE:
                await asyncio.sleep(PAUSE_SECONDS)
                return
            self._channel = ConfirmingChannel(self._lane, raw)

    async def _channel_of_aiormq(self) -> AbstractChannel:
        """Open one.

        aiormq cancels who waits when the connection goes, and says that the connection went to who
        is cancelled: which of them it is only the task itself knows.
        """
        try:
            return await self._connection.channel()
        except (*_GONE, asyncio.CancelledError) as error:
            if asked_to_stop():
                raise asyncio.CancelledError from None
            raise ConnectionResetError(str(error)) from None

    def _why(self) -> str:
        return f" (the broker has blocked publishing: {why})" if (why := self._lane.blocked) else ""

    def _end(self) -> str:
        ended = self._lane.ended
        return ended.result() if ended.done() else "the channel was closed"
