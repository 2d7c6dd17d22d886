"""The outbox: what was accepted and is not yet confirmed. Bounded: who brings more has to wait.

An event is accepted when `append` returns; from then on it is the outbox's, until the publisher
confirms it or whoever brought it withdraws it. `MemoryOutbox` keeps it through everything but the
end of the process.
"""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Protocol

from common.errors import OutboxFull, TidingsError
from common.message import Answer, Publishing
from producer.deadlines import OUT_OF_TIME, Deadlines, Waiter

MEMORY_BYTES = 64 * 1024 * 1024
"""Bodies that a `MemoryOutbox` holds at most, whatever their number."""


@dataclass(eq=False, slots=True)
class Entry:
    """An accepted event on its way.

    `settled` tells whoever brought it how it ended: None for confirmed, or the error. The error is
    a value and not the future's exception: most entries have nobody who asks for it.
    """

    number: int
    """Its place in the order of acceptance."""
    publishing: Publishing
    settled: Waiter
    deadline: float | None = None
    """Loop time at which whoever brought it stops waiting; None: nobody waits."""
    sent_at: float | None = None
    """When it was sent, by the monotonic clock, while it is not answered."""
    failures: int = 0
    """Answers other than `Confirmed`, on a live connection."""
    last: Answer | None = None
    """The last answer that was not `Confirmed`."""


class Outbox(Protocol):
    """What a home for accepted events does; in memory now, on disk later.

    `confirm` and `withdraw` do not wait: a home on disk writes them down in its own time, as one
    that is lost by a crash is only a duplicate of the same id, never a loss.
    """

    @property
    def depth(self) -> int:
        """Events accepted and neither confirmed nor withdrawn."""
        ...

    @property
    def full(self) -> bool:
        """Whether an `append` would have to wait now."""
        ...

    async def append(self, publishing: Publishing, *, deadline: float | None = None) -> Entry:
        """Accept; waits for room until `deadline` (loop time), for ever without one.

        Raises OutboxFull at the deadline, and what `close` was told.
        """
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

    def withdraw(self, entry: Entry, error: TidingsError | None = None) -> None:
        """Forget it unconfirmed; `error` says why to whoever waits. Nothing if already settled."""
        ...

    async def drained(self) -> None:
        """Wait until nothing is unconfirmed."""
        ...

    def close(self, error: TidingsError) -> None:
        """Nobody serves it any more: all who wait, and all who come, get `error`."""
        ...


class MemoryOutbox:
    """At most `size` events and about `max_bytes` of bodies, which a last event may exceed."""

    def __init__(self, size: int, *, max_bytes: int = MEMORY_BYTES) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._bytes = 0
        self._last_number = 0
        self._unconfirmed: dict[int, Entry] = {}
        self._untaken: OrderedDict[int, Entry] = OrderedDict()
        self._given_back: dict[int, Entry] = {}
        """All older than all of `_untaken`, in no order."""
        self._waiting: deque[Waiter] = deque()
        self._deadlines = Deadlines()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: TidingsError | None = None

    @property
    def depth(self) -> int:
        """Events accepted and neither confirmed nor withdrawn."""
        return len(self._unconfirmed)

    @property
    def full(self) -> bool:
        """Whether an `append` would have to wait now."""
        return len(self._unconfirmed) >= self._size or self._bytes >= self._max_bytes

    async def append(self, publishing: Publishing, *, deadline: float | None = None) -> Entry:
        """Accept; see `Outbox.append`. Who waits is served in the order of arrival."""
        if self._closed is None and (self._waiting or self.full):
            await self._room(deadline)
        if self._closed is not None:
            raise self._closed
        self._last_number = number = self._last_number + 1
        entry = Entry(number, publishing, asyncio.Future(), deadline)
        if not self._unconfirmed:
            self._empty.clear()
        self._unconfirmed[number] = entry
        self._untaken[number] = entry
        self._bytes += len(publishing.message.body)
        self._arrived.set()
        if self._waiting:
            self._let_in()  # one large event's end is room for several small ones
        return entry

    async def take(self, most: int) -> list[Entry]:
        """Return the oldest entries that are not taken, `most` at most, waiting for the first."""
        untaken, given_back = self._untaken, self._given_back
        while not (untaken or given_back):
            self._arrived.clear()
            await self._arrived.wait()
        taken: list[Entry] = []
        if given_back:
            taken += [given_back.pop(number) for number in sorted(given_back)[:most]]
        while untaken and len(taken) < most:
            taken.append(untaken.popitem(last=False)[1])
        return taken

    def give_back(self, entry: Entry) -> None:
        """Let a taken entry be taken again; nothing if it is settled."""
        if entry.number in self._unconfirmed:
            self._given_back[entry.number] = entry
            self._arrived.set()

    def confirm(self, entry: Entry) -> None:
        """The broker has it: forget it."""
        self._forget(entry, None)

    def withdraw(self, entry: Entry, error: TidingsError | None = None) -> None:
        """Forget it unconfirmed; `error` says why to whoever waits."""
        self._forget(entry, error)

    async def drained(self) -> None:
        """Wait until nothing is unconfirmed."""
        await self._empty.wait()

    def close(self, error: TidingsError) -> None:
        """Give `error` to all who wait, and to all who come."""
        self._closed = error
        for entry in tuple(self._unconfirmed.values()):
            self._forget(entry, error)
        while self._waiting:
            self._let_in()
        self._deadlines.stop()

    async def _room(self, deadline: float | None) -> None:
        """Wait in line until there is room, or the outbox is closed."""
        loop = asyncio.get_running_loop()
        turn: Waiter = loop.create_future()
        self._waiting.append(turn)
        while True:
            if deadline is not None:
                self._deadlines.begin(turn, deadline)
            try:
                ending = await turn
            except asyncio.CancelledError:
                self._leave(turn)
                raise
            finally:
                self._deadlines.end(turn)
            if ending is OUT_OF_TIME:
                self._leave(turn)
                raise self._too_full()
            if not self.full or self._closed is not None:
                return
            # Somebody who came a moment later was faster: the first place in the line again.
            turn = loop.create_future()
            self._waiting.appendleft(turn)

    def _leave(self, turn: Waiter) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():
            self._let_in()  # it was this one's turn: the next one's now

    def _let_in(self) -> None:
        """Tell the first in line to come, if there is room."""
        while self._waiting and (not self.full or self._closed is not None):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _forget(self, entry: Entry, error: TidingsError | None) -> None:
        if self._unconfirmed.pop(entry.number, None) is None:
            return
        if entry.sent_at is None:  # else it is taken
            self._untaken.pop(entry.number, None)
            self._given_back.pop(entry.number, None)
        self._bytes -= len(entry.publishing.message.body)
        if not entry.settled.done():
            entry.settled.set_result(error)
        if not self._unconfirmed:
            self._empty.set()
        if self._waiting:
            self._let_in()

    def _too_full(self) -> OutboxFull:
        return OutboxFull(
            f"the outbox is full: {self.depth} events wait for the broker; this one was not "
            "accepted. Publish it again later, or raise TIDINGS_OUTBOX_SIZE"
        )
