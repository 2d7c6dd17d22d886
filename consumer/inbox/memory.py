"""The inbox in memory: it knows its own process only, and costs a microsecond or two.

It keeps an event whose ack was lost from being handled a second time, and makes a redelivery wait
for the run that is still going on.
"""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from common.errors import ConfigError
from consumer.inbox.claim import Claim, Key, judge
from consumer.inbox.in_hand import InHand
from consumer.inbox.protocol import Begun
from consumer.inbox.recent import REMEMBERED, Recent

KEEP_SECONDS = 7 * 86400.0


class MemoryInbox:
    """Remembers the last `size` events for `keep` seconds; `clock` is monotonic, in seconds."""

    durable = False
    trouble: str | None = None

    def __init__(
        self,
        size: int = REMEMBERED,
        *,
        keep: float = KEEP_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._past: Recent[int] = Recent(size=size, keep=keep, clock=clock)
        self._in_hand: InHand[tuple[int, int]] = InHand()
        """The copy (its hop), and a hash of the bytes."""

    def __len__(self) -> int:
        """Events remembered now."""
        return len(self._past) + len(self._in_hand)

    def take(self, key: Key, hop: int, body: bytes) -> Claim | None:
        """Take the event in hand, unless it was seen before; None while it is in hand already."""
        held = self._in_hand.held
        if key in held:
            return None
        content = hash(body)
        if key in self._past.events:
            claim = judge(self._past.find(key), hop, content)
            if claim is not Claim.TAKEN:
                return claim
        held[key] = hop, content
        return Claim.TAKEN

    async def claim(self, key: Key, hop: int, body: bytes) -> Claim:
        """Take it, and wait while another delivery of it is in hand here."""
        while (claim := self.take(key, hop, body)) is None:
            await self._in_hand.end_of(key)
        return claim

    def done(self, key: Key) -> bool:
        """It is handled: never again here."""
        self._finish(key, done=True)
        return True

    def moved(self, key: Key) -> None:
        """A later copy of it is safe with the broker: this copy is finished, that one is not."""
        self._finish(key, done=False)

    async def finish(self, key: Key, *, done: bool) -> None:
        """Finish it, at once."""
        self._finish(key, done=done)

    def forget(self, key: Key) -> None:
        """Nothing came of it: it may be taken in hand again."""
        self._in_hand.let_go(key)

    def transaction(self, key: Key) -> AbstractAsyncContextManager[Begun]:  # noqa: ARG002 - the protocol's
        """Refuse: here is no database. `fitness.py` finds such a handler at the start."""
        raise ConfigError("TIDINGS_INBOX: an inbox in memory has no transactions")

    async def run(self) -> None:
        """Nothing has to be kept going."""

    async def close(self) -> None:
        """Nothing is open."""

    def _finish(self, key: Key, *, done: bool) -> None:
        held = self._in_hand.held.pop(key, None)
        if held is not None:
            self._past.add(key, *held, done)
            if self._in_hand.ends:
                self._in_hand.let_go(key)
