"""The socket: frames of our channels go to them, everything else between it and aiormq.

What is written within one turn of the event loop, by aiormq or by us, leaves in one send.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from common.broker.fastlane.methods import (
    CONNECTION_BLOCKED,
    CONNECTION_CLOSE,
    CONNECTION_UNBLOCKED,
    decode_close,
    decode_reason,
    kind_of,
)
from common.broker.fastlane.parser import FrameParser
from common.broker.fastlane.wire import HEARTBEAT_FRAME, METHOD, FrameError

WRITE_BUFFER_BYTES = 256 * 1024
"""Bytes that wait for the socket before publishers have to wait too."""
BEAT_SECONDS = 1.0
"""aiormq counts the frames that it sees; while ours keep it from seeing any it gets a heartbeat,
but only for one that has really arrived: a dead peer must stay silent."""


class LaneChannel(Protocol):
    """A channel of ours on the lane."""

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take a frame; False leaves it to aiormq."""
        ...

    def frames(self, chunk: bytes, at: int, size: int) -> int:
        """Take frames from `at` on the short way; return the position behind them."""
        ...

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        ...


class LaneReader(asyncio.StreamReader):
    """What aiormq reads from."""

    def at_eof(self) -> bool:
        """Never: asked at the wrong moment, aiormq would end without an error to tell others.

        Its next read tells it, as an error that it knows.
        """
        return False


class Lane(asyncio.Protocol):
    """One connection's socket. `ended` tells, with the reason, when it is over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._for_aiormq = LaneReader(loop=self._loop)
        self._parser = FrameParser(self._pass_on)
        self._parser.channels[0] = self
        self._channels: dict[int, LaneChannel] = {}
        self._out: list[bytes] = []
        self._settling: list[Callable[[], None]] = []
        self._flushing = False
        self._last_read = self._last_beat = self._loop.time()
        self._reason = ""
        self._room = asyncio.Event()
        """Set while the socket takes bytes, and when it is over."""
        self._room.set()
        self._blocked = ""
        self.on_lost: Callable[[str], None] = _nothing
        """Told why it is over, before any of the channels is."""
        self.on_blocked: Callable[[str], None] = _nothing
        """Told why the broker blocks us, and an empty text when it does no more."""
        self.sendable = True
        """Whether a publish can be written now."""
        self._open = asyncio.Event()
        """Set while publishes can be written, and when it is over."""
        self._open.set()
        self.ended: asyncio.Future[str] = self._loop.create_future()

    @property
    def blocked(self) -> str:
        """Why the broker takes no publishes now (memory or disk alarm); empty when it does."""
        return self._blocked

    async def until_sendable(self) -> None:
        """Wait until a publish can be written, or it is over."""
        await self._open.wait()

    async def until_room(self) -> None:
        """Wait until the socket takes bytes, or it is over."""
        await self._room.wait()

    def silent_for(self) -> float:
        """Seconds since the last byte arrived."""
        return self._loop.time() - self._last_read

    def attach(self, number: int, channel: LaneChannel) -> None:
        """Give the frames of this channel to it from now on."""
        self._channels[number] = self._parser.channels[number] = channel

    def detach(self, number: int, channel: LaneChannel) -> None:
        """Leave its frames to aiormq again; nothing if another has taken its number."""
        if self._channels.get(number) is channel:
            del self._channels[number], self._parser.channels[number]

    def write(self, data: bytes) -> None:
        """Send whole frames at the end of this turn."""
        self._out.append(data)
        self._flush_soon()

    def settle_at_flush(self, write: Callable[[], None]) -> None:
        """Call `write` once, just before the next send."""
        self._settling.append(write)
        self._flush_soon()

    def abort(self) -> None:
        """Drop the socket without a word: the peer does not listen any more."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; see asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._for_aiormq.set_transport(transport)

    def data_received(self, data: bytes) -> None:
        """Take a chunk; see asyncio.Protocol."""
        now = self._last_read = self._loop.time()
        try:
            self._parser.feed(data)
        except FrameError as error:
            self._reason = f"the broker sent what is not AMQP: {error}"
            self.abort()
            return
        if now - self._last_beat > BEAT_SECONDS and self._channels:
            self._pass_on(HEARTBEAT_FRAME)

    def eof_received(self) -> None:
        """The peer has closed; see asyncio.Protocol."""
        self._for_aiormq.feed_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over; see asyncio.Protocol."""
        reason = self._reason or (str(error) if error else "the broker closed the connection")
        if error is None:
            self._for_aiormq.feed_eof()
        else:
            self._for_aiormq.set_exception(error)
        self._out.clear()
        if not self.ended.done():
            self.ended.set_result(reason)
        self.on_lost(reason)
        for channel in tuple(self._channels.values()):
            channel.lost(reason)
        self._channels.clear()
        self.sendable = False
        self._room.set()
        self._open.set()  # for whoever waits, to see that it is over

    def pause_writing(self) -> None:
        """The socket does not keep up; see asyncio.Protocol."""
        self._room.clear()
        self._tell()

    def resume_writing(self) -> None:
        """The socket takes bytes again; see asyncio.Protocol."""
        self._room.set()
        self._tell()

    # Channel 0: aiormq answers; we only listen.

    def frame(self, kind: int, payload: bytes) -> bool:
        """Learn what the broker says about the connection as a whole."""
        if kind != METHOD:
            return False
        method = kind_of(payload)
        if method == CONNECTION_BLOCKED:
            self._block(decode_reason(payload) or "no reason given")
        elif method == CONNECTION_UNBLOCKED:
            self._block("")
        elif method == CONNECTION_CLOSE:
            code, text = decode_close(payload)
            self._reason = f"{code} {text}"
        return False

    def frames(self, _: bytes, at: int, __: int) -> int:
        """Take none: there is nothing that comes often here."""
        return at

    def _block(self, reason: str) -> None:
        self._blocked = reason
        self._tell()
        self.on_blocked(reason)

    def _tell(self) -> None:
        self.sendable = self._room.is_set() and not self._blocked and not self.ended.done()
        if self.sendable:
            self._open.set()
        else:
            self._open.clear()

    def _pass_on(self, data: bytes) -> None:
        self._last_beat = self._last_read
        self._for_aiormq.feed_data(data)

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what was written."""
        self._flushing = True  # what is written meanwhile goes out with the rest
        settling, self._settling = self._settling, []
        for write in settling:
            write()
        self._flushing = False
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    @property
    def reader(self) -> asyncio.StreamReader:
        """What aiormq reads from."""
        return self._for_aiormq

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport."""
        assert self._transport is not None  # noqa: S101 - for the type checker: made before
        return self._transport


def _nothing(_: str) -> None:
    """Nobody listens."""
