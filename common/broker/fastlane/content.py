"""Put a message together: the method that announced it, its header, its body frames. PURE."""

from collections.abc import Callable
from typing import Generic, TypeVar

from common.broker.fastlane.properties import Properties, decode_content
from common.broker.fastlane.wire import BODY, HEADER, FrameError
from common.message import Message

M = TypeVar("M")


class Assembly(Generic[M]):
    """What arrives on one channel: one message after the other, never mixed.

    `whole` gets each method with the message that came with it.
    """

    def __init__(self, whole: Callable[[M, Message], None]) -> None:
        self._whole = whole
        self._method: M | None = None
        self._properties: Properties | None = None
        self._missing = 0
        self._parts: list[bytes] = []

    @property
    def idle(self) -> bool:
        """Whether no message is under way."""
        return self._method is None

    def begin(self, method: M) -> None:
        """A method has announced a message. Raises FrameError when one is not complete yet."""
        if self._method is not None:
            raise FrameError("a message begins before the last one has ended")
        self._method = method

    def add(self, kind: int, payload: bytes) -> None:
        """Add a header or body frame. Raises FrameError."""
        method = self._method
        if method is None:
            raise FrameError("content without a method that announces it")
        properties = self._properties
        if properties is None:
            if kind != HEADER:
                raise FrameError(f"a frame of type {kind} where a content header should be")
            size, properties = decode_content(payload)
            if size:
                self._properties, self._missing = properties, size
            else:
                self._method = None
                self._whole(method, Message(b"", *properties))
            return
        if kind != BODY:
            raise FrameError(f"a frame of type {kind} within a message")
        missing = self._missing = self._missing - len(payload)
        if missing < 0:
            raise FrameError("a body is longer than its header says")
        if missing or self._parts:
            self._parts.append(payload)
            if missing:
                return
            payload = b"".join(self._parts)
            self._parts.clear()
        self._method = self._properties = None
        self._whole(method, Message(payload, *properties))
