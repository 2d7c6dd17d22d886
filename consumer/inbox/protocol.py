"""What every home of an inbox offers."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from consumer.failure import Failure
from consumer.inbox.claim import Claim, Key
from consumer.transaction import Transaction


class Begun(Protocol):
    """A transaction that has begun, or an event that somebody else has finished meanwhile."""

    @property
    def claim(self) -> Claim:
        """TAKEN: go on. Else nothing has begun, and the event is not in hand any more."""

    @property
    def transaction(self) -> Transaction:
        """What the handler gets; there where the claim is TAKEN."""

    async def end(self, failure: Failure | None) -> Failure | None:
        """Commit what a run without a failure wrote, and the event's row with it, or undo both.

        Returns None when it is committed, and the event finished as done; else the failure to
        decide about, which is another one where the fault is not the handler's.
        """


class Inbox(Protocol):
    """Claim before handling; then exactly one of `done`, `finish` or `forget`."""

    @property
    def durable(self) -> bool:
        """Whether it outlives this process."""

    @property
    def trouble(self) -> str | None:
        """Why it cannot be read or written now, if so: then claims wait."""

    def take(self, key: Key, hop: int, body: bytes) -> Claim | None:
        """Claim at once; None where that has to wait: then `claim`."""

    async def claim(self, key: Key, hop: int, body: bytes) -> Claim:
        """Take the event in hand, unless it was seen before.

        Waits while another delivery of it is in hand here, and while the inbox is in trouble.
        """

    def done(self, key: Key) -> bool:
        """Finish it as handled, at once; False where that has to wait: then `finish`."""

    async def finish(self, key: Key, *, done: bool) -> None:
        """Finish it: handled, or a later copy of it is safe. Returns when that is kept.

        When cancelled it may be kept or not. Nothing, where the event is not in hand.
        """

    def forget(self, key: Key) -> None:
        """Nothing came of it: it may be taken in hand again."""

    def transaction(self, key: Key) -> AbstractAsyncContextManager[Begun]:
        """Begin a transaction that finishes a claimed event; left without `end` it is undone.

        One at a time. Waits while the inbox is in trouble. An event that was not finished in it is
        still in hand afterwards.
        """

    async def run(self) -> None:
        """Keep it going, until cancelled: without it nothing is read, written or purged."""

    async def close(self) -> None:
        """Write what is left, if that is possible."""
