"""A channel that confirms: who published what, the broker's answers, and silence."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from common.broker.fastlane.confirms import ConfirmWindow, Sent
from common.broker.fastlane.content import Assembly
from common.broker.fastlane.methods import (
    ACK,
    CHANNEL_CLOSE,
    NACK,
    RETURN,
    Closed,
    Return,
    decode_close,
    decode_return,
    decode_settled,
    kind_of,
)
from common.broker.fastlane.transport import Lane
from common.broker.fastlane.wire import METHOD
from common.errors import AccessRefused, InvalidEvent
from common.message import CONFIRMED, Answer, Message, Nacked, Publishing, Returned, Unknown

Answered = Callable[[Answer | AccessRefused | InvalidEvent], None]
"""Told once what came of a publish."""

ACCESS_REFUSED, PRECONDITION_FAILED = 403, 406
SILENCE_SECONDS = 5.0
"""A connection that has read something within this time is alive; if one of its channels does not
answer a publish within its deadline, then it is the channel that hangs."""
_NAMED = re.compile(r"exchange '([^']*)'")
_TOPIC = re.compile(r"topic '([^']*)'")
_TOO_LARGE = re.compile(r"message size (\d+) is larger than configured max size (\d+)")


class ConfirmingChannel:
    """One channel for publishes, until it is `ended`."""

    def __init__(self, lane: Lane, channel: AbstractChannel) -> None:
        self._lane = lane
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self.number = channel.number
        self.ended = False
        self._window = ConfirmWindow[Answered]()
        self._assembly = Assembly(self._returned)
        self._timer: asyncio.TimerHandle | None = None
        self._next_deadline = float("inf")
        self._last_answer = 0.0
        self._closing: asyncio.Task[None] | None = None
        lane.attach(self.number, self)
        channel.closing.add_done_callback(self._on_closed)

    def sent(self, publishing: Publishing, answered: Answered, timeout: float) -> None:
        """Note a publish that goes out now."""
        deadline = self._loop.time() + timeout
        self._window.sent(publishing, answered, deadline)
        if deadline < self._next_deadline:
            self._watch(deadline)

    # What the lane calls.

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take what belongs to publishes."""
        if kind != METHOD:
            self._assembly.add(kind, payload)
            return True
        method = kind_of(payload)
        if method == ACK:
            self._answered(payload, CONFIRMED)
        elif method == NACK:
            self._answered(payload, Nacked())
        elif method == RETURN:
            self._assembly.begin(decode_return(payload))
        else:
            if method == CHANNEL_CLOSE:
                # At once: a publish after aiormq's answer would end the whole connection.
                self._lane.detach(self.number, self)
                self._refused(decode_close(payload))
            return False
        return True

    def frames(self, _: bytes, at: int, __: int) -> int:
        """Take none: a confirm is one frame."""
        return at

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._end(lambda _: Unknown(reason))

    def _answered(self, payload: bytes, answer: Answer) -> None:
        self._last_answer = self._loop.time()
        number, multiple = decode_settled(payload)
        for sent, reply in self._window.answered(number, multiple=multiple):
            sent.token(answer if reply is None else Returned(reply))

    def _returned(self, method: Return, message: Message) -> None:
        like = Publishing(method.exchange, method.routing_key, message)
        if not self._window.returned(like, f"{method.code} {method.text}"):
            # Never seen. Without knowing whose it is, the next confirm could be a false one.
            self._abandon("the broker returned a message that was not sent here")

    def _refused(self, closed: Closed) -> None:
        """The broker has closed the channel: one publish is to blame, the others are unknown."""
        code, text = closed
        exchange = found[1] if (found := _NAMED.search(text)) else None
        topic = found[1] if (found := _TOPIC.search(text)) else None
        large = _TOO_LARGE.search(text)

        def verdict(sent: Sent[Answered]) -> Answer | AccessRefused | InvalidEvent:
            if code == ACCESS_REFUSED and sent.publishing.exchange == exchange:
                if topic is not None:  # a matter of this type only
                    mine = sent.publishing.routing_key == topic
                    return InvalidEvent(text) if mine else Unknown(f"{code} {text}")
                return AccessRefused(f"exchange '{exchange}': this user may not publish: {text}")
            size = len(sent.publishing.message.body)
            if code == PRECONDITION_FAILED and large and size == int(large[1]):
                return InvalidEvent(f"{size} bytes; the broker takes {large[2]} at most")
            return Unknown(f"{code} {text}")

        self._end(verdict)

    def _watch(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next_deadline = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        """Answer for the broker where a deadline has passed."""
        self._timer, self._next_deadline = None, float("inf")
        now = self._loop.time()
        overdue = list(self._window.overdue(now))
        for sent in overdue:
            sent.token(Unknown(f"no answer in time{self._blocked()}"))
        alive = self._lane.silent_for() < SILENCE_SECONDS and not self._lane.blocked
        silent = overdue and self._last_answer < now - SILENCE_SECONDS
        if silent and alive:
            self._abandon("the channel does not answer")
        elif self._window:
            self._watch(self._window.next_deadline)

    def _abandon(self, reason: str) -> None:
        """Use it no more, and close it when that is possible."""
        self._end(lambda _: Unknown(reason))
        self._closing = self._loop.create_task(self._close(), name="close of a silent channel")

    async def _close(self) -> None:
        with suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError, TimeoutError):
            await self._channel.close()
        self._lane.detach(self.number, self)

    def _on_closed(self, _: "asyncio.Future[object]") -> None:
        self._lane.detach(self.number, self)
        self._end(lambda _: Unknown("the channel was closed"))

    def _end(
        self, verdict: Callable[[Sent[Answered]], Answer | AccessRefused | InvalidEvent]
    ) -> None:
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for sent in list(self._window.lost()):
            sent.token(verdict(sent))

    def _blocked(self) -> str:
        return f" (the broker has blocked publishing: {why})" if (why := self._lane.blocked) else ""
