"""What every outbox does: it holds what was accepted and is not yet confirmed, in order, bounded.

An event is accepted when `append` returns; from then on it is the outbox's, until the publisher
confirms it or whoever brought it withdraws it. It is *safe* once it cannot be lost any more: in
memory that is the broker's confirm, on disk whichever comes first, the confirm or the commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from common.errors import TidingsError
from common.message import Answer, Publishing
from producer.deadlines import Waiter
from producer.outbox.marks import Mark


@dataclass(eq=False, slots=True)
class Entry:
    """An accepted event on its way.

    `safe` tells whoever brought it how it ended: None for safe, or the error. The error is a value
    and not the future's exception: most entries have nobody who asks for it.
    """

    number: int
    """Its place in the order of acceptance."""
    publishing: Publishing
    safe: Waiter
    accepted_at: float = 0.0
    """Seconds since the epoch."""
    deadline: float | None = None
    """Loop time at which whoever brought it stops waiting; None: nobody waits."""
    sent_at: float | None = None
    """When it was sent, by the monotonic clock, while it is not answered."""
    failures: int = 0
    """Answers other than `Confirmed`, on a live connection."""
    last: Answer | None = None
    """The last answer that was not `Confirmed`."""
    over: bool = False
    """Confirmed, withdrawn or refused: it is not to be sent any more."""
    queued: bool = False
    """It is to be written to a file."""
    on_disk: bool = False
    """It is, or is just being, written to a file."""

    @property
    def wanted(self) -> bool:
        """Whether it is still to be sent: not over, and not given up by whoever brought it."""
        return not self.over and (self.on_disk or not self.safe.done())


class Outbox(Protocol):
    """What a home for accepted events does.

    `confirm`, `withdraw` and `refuse` do not wait: a home on disk writes them down in its own time,
    as one that is lost by a crash is only a duplicate of the same id, never a loss.
    """

    durable: bool
    """Whether what is safe outlives the process."""

    @property
    def depth(self) -> int:
        """Events accepted and neither confirmed nor withdrawn."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes that they take."""
        ...

    @property
    def oldest(self) -> float | None:
        """When the oldest of them was accepted, in seconds since the epoch."""
        ...

    @property
    def refused(self) -> int:
        """Events set aside because the broker will never take them."""
        ...

    @property
    def full(self) -> bool:
        """Whether an `append` would have to wait now."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written, if so."""
        ...

    async def append(self, publishing: Publishing, *, deadline: float | None = None) -> Entry:
        """Accept; waits for room until `deadline` (loop time), for ever without one.

        Raises OutboxFull at the deadline, and what `close` was told.
        """
        ...

    async def append_with(self, publishings: Sequence[Publishing], mark: Mark) -> None:
        """Accept all of them, and the mark with them: a home on disk keeps all or nothing."""
        ...

    def note(self, mark: Mark) -> None:
        """Remember a mark as soon as everything that was accepted before is safe."""
        ...

    def noted(self, name: str) -> str | None:
        """Return the value of the last mark of this name; of an earlier process too, on disk."""
        ...

    async def take(self, most: int) -> list[Entry]:
        """Return the oldest entries that are not taken, `most` at most, waiting for the first.

        They stay accepted.
        """
        ...

    def give_back(self, entry: Entry) -> None:
        """Let a taken entry be taken again, before all that are younger."""
        ...

    def confirm(self, entry: Entry) -> None:
        """The broker has it: forget it."""
        ...

    def withdraw(self, entry: Entry) -> None:
        """Forget it unconfirmed, if it is not safe: whoever brought it does not wait any more."""
        ...

    def refuse(self, entry: Entry, error: TidingsError) -> None:
        """The broker will never take it: tell whoever waits; where nobody does, set it aside."""
        ...

    async def run(self) -> None:
        """Keep the home in order until cancelled, if there is anything to keep."""
        ...

    async def drained(self) -> None:
        """Wait until nothing is unconfirmed."""
        ...

    async def close(self, error: TidingsError) -> None:
        """Nobody serves it any more: all who wait, and all who come, get `error`."""
        ...
