"""The outbox in memory: it keeps events through everything but the end of the process."""

import asyncio
import time
from collections.abc import Sequence

from common.errors import OutboxFull, TidingsError
from common.message import Publishing
from producer.outbox.entry import Entry
from producer.outbox.line import Line
from producer.outbox.marks import Mark
from producer.outbox.order import Order

MEMORY_BYTES = 64 * 1024 * 1024
"""Bodies that a `MemoryOutbox` holds at most, whatever their number."""


class MemoryOutbox:
    """At most `size` events and about `max_bytes` of bodies, which a last event may exceed."""

    durable = False
    refused = 0
    trouble = None

    def __init__(self, size: int, *, max_bytes: int = MEMORY_BYTES) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._last_number = 0
        self._unconfirmed = Order()
        self._marks: dict[str, str] = {}
        self._line = Line(lambda: not self.full or self._closed is not None)
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed: TidingsError | None = None

    @property
    def depth(self) -> int:
        """Events accepted and neither confirmed nor withdrawn."""
        return len(self._unconfirmed)

    @property
    def size_bytes(self) -> int:
        """Bytes of their bodies."""
        return self._unconfirmed.size_bytes

    @property
    def oldest(self) -> float | None:
        """When the oldest of them was accepted."""
        return self._unconfirmed.oldest

    @property
    def full(self) -> bool:
        """Whether an `append` would have to wait now."""
        held = self._unconfirmed
        return len(held) >= self._size or held.size_bytes >= self._max_bytes

    async def append(self, publishing: Publishing, *, deadline: float | None = None) -> Entry:
        """Accept; see `Outbox.append`. Who waits is served in the order of arrival."""
        waits = (self._line or self.full) and self._closed is None
        if waits and not await self._line.wait(deadline):
            raise self._too_full()
        if self._closed is not None:
            raise self._closed
        self._last_number = number = self._last_number + 1
        entry = Entry(number, publishing, asyncio.Future(), time.time(), deadline)
        self._empty.clear()
        self._unconfirmed.add(entry)
        if self._line:
            self._line.let_in()  # one large event's end is room for several small ones
        return entry

    async def append_with(self, publishings: Sequence[Publishing], mark: Mark) -> None:
        """Accept them one after the other; the mark lasts as long as they do."""
        for publishing in publishings:
            await self.append(publishing)
        self.note(mark)

    def note(self, mark: Mark) -> None:
        """Remember a mark, for this process only."""
        self._marks[mark.name] = mark.value

    def noted(self, name: str) -> str | None:
        """Return the value of the last mark of this name."""
        return self._marks.get(name)

    async def take(self, most: int) -> list[Entry]:
        """Return the oldest entries that are not taken, `most` at most, waiting for the first."""
        return await self._unconfirmed.take(most)

    def give_back(self, entry: Entry) -> None:
        """Let a taken entry be taken again; nothing if it is over."""
        self._unconfirmed.give_back(entry)

    def confirm(self, entry: Entry) -> None:
        """The broker has it: forget it."""
        self._forget(entry, None)

    def withdraw(self, entry: Entry) -> None:
        """Forget it unconfirmed."""
        self._forget(entry, None)

    def refuse(self, entry: Entry, error: TidingsError) -> None:
        """Forget it, and tell whoever waits why."""
        self._forget(entry, error)

    async def run(self) -> None:
        """Nothing has to be kept in order."""

    async def drained(self) -> None:
        """Wait until nothing is unconfirmed."""
        await self._empty.wait()

    async def close(self, error: TidingsError) -> None:
        """Give `error` to all who wait, and to all who come."""
        self._closed = error
        for entry in self._unconfirmed.entries():
            self._forget(entry, error)
        self._line.dissolve()

    def _forget(self, entry: Entry, error: TidingsError | None) -> None:
        if entry.over:
            return
        entry.over = True
        self._unconfirmed.forget(entry)
        if not entry.safe.done():
            entry.safe.set_result(error)
        if not self.depth:
            self._empty.set()
        if self._line:
            self._line.let_in()

    def _too_full(self) -> OutboxFull:
        return OutboxFull(
            f"the outbox is full: {self.depth} events wait for the broker; this one was not "
            "accepted. Publish it again later, or raise TIDINGS_OUTBOX_SIZE"
        )
