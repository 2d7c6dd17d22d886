"""Cut what the socket reads into frames; give ours to our channels, all others on untouched. PURE.

A frame that lies whole in a chunk is never copied but by who keeps a part of it; one that spans
chunks is joined once, when its end has arrived.
"""

from collections.abc import Callable
from typing import Protocol

from common.broker.fastlane.wire import FRAME_END, FRAME_EXTRA, METHOD, FrameError, frame_head

HEAD = FRAME_EXTRA - 1
LARGEST_FRAME = 16 * 1024 * 1024
"""Bytes of a frame's payload that we are ready to hold, whatever was agreed; RabbitMQ's are 128 KiB
at most unless it is told otherwise."""


class Channel(Protocol):
    """A channel of ours."""

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take a frame; False passes it on. Raises FrameError when it makes no sense."""
        ...

    def frames(self, chunk: bytes, at: int, size: int) -> int:
        """Take what it can of the frames that begin at `at`; return the position behind them.

        A shorter way for what comes most often; to take none is always right.
        """
        ...


class FrameParser:
    """Takes chunks in any cut. `feed` raises FrameError, after which the stream is of no use."""

    def __init__(self, pass_on: Callable[[bytes], None]) -> None:
        self.channels: dict[int, Channel] = {}
        self._pass_on = pass_on
        self._started = False
        self._foreign = False
        self._parts: list[bytes] = []
        """The beginning of a frame whose end has not arrived."""
        self._held = 0
        self._wanted = 0

    @property
    def held(self) -> int:
        """Bytes kept of a frame that is not complete."""
        return self._held

    def feed(self, chunk: bytes) -> None:
        """Take what the socket has read."""
        if self._foreign:
            self._pass_on(chunk)
            return
        if self._parts:
            self._parts.append(chunk)
            self._held += len(chunk)
            if self._held < self._wanted:
                return
            chunk = b"".join(self._parts)
            self._parts.clear()
        at = self._frames(chunk)
        self._held = len(chunk) - at
        if self._held:
            self._parts.append(chunk[at:])

    def _frames(self, chunk: bytes) -> int:
        """Take all whole frames; return the position of what is left."""
        at, size = 0, len(chunk)
        channels, head = self.channels, frame_head.unpack_from
        while size - at >= HEAD:
            kind, number, length = head(chunk, at)
            if length > LARGEST_FRAME:
                self._too_large(chunk, length)
                return size
            end = at + HEAD + length
            if end >= size:
                self._wanted = end + 1 - at
                return at
            if chunk[end] != FRAME_END:
                raise FrameError("a frame does not end where it should")
            self._started = True
            channel = channels.get(number)
            if channel is None:
                self._pass_on(chunk[at : end + 1])
            elif kind == METHOD and (behind := channel.frames(chunk, at, size)) > at:
                at = behind
                continue
            elif not channel.frame(kind, chunk[at + HEAD : end]):
                self._pass_on(chunk[at : end + 1])
            at = end + 1
        self._wanted = HEAD
        return at

    def _too_large(self, chunk: bytes, length: int) -> None:
        """Let aiormq explain a peer that speaks something else from its first byte on."""
        if self._started:
            raise FrameError(f"a frame of {length} bytes; {LARGEST_FRAME} are the most we take")
        self._foreign = True
        self._pass_on(chunk)
