"""The outbox on disk: what it has accepted survives the process, the host, and a day of no broker.

Direct path: an event goes to the broker at once, and to the disk only when its confirm does not
come within `PATIENCE`; while something waits on disk, what comes is written at once. So with the
broker up nothing waits for the disk, and whoever brought an event hears that it is safe when it is:
confirmed or committed, whichever comes first. docs/decisions/0008 has the measurements.

In memory is the oldest part of what waits (`_here`), in order; the rest, the `_tail`, is younger,
and on disk only; it is read when there is room.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from common.errors import OutboxFull, TidingsError
from common.logs import get_logger
from common.message import Publishing
from common.stopping import to_its_end
from producer.deadlines import Waiter
from producer.outbox.entry import Entry
from producer.outbox.file import OutboxFile
from producer.outbox.journal import MOST_AT_ONCE, REMOVE_SECONDS, Group, Journal
from producer.outbox.line import Line
from producer.outbox.marks import Mark, Marks
from producer.outbox.order import Order
from producer.outbox.rows import publishing_of
from producer.outbox.unsafe import Unsafe

PATIENCE = 0.1
"""Seconds that the broker's confirm may take before an event is written to disk."""
MOST_HERE = 2048
"""Entries in memory: the publisher's window, those it has put off, and a reserve."""
MOST_BYTES_HERE = 16 * 1024 * 1024
"""Bytes of their bodies."""
LOW = 512
"""When fewer entries than this can be taken, more are read."""
MOST_UNREMOVED = 20_000
"""Confirmed events that the file still has, for it cannot be written: then nothing more is sent,
as each would be sent once more after a restart."""
MARK_SECONDS = 1.0
"""Between two writings of marks, when nothing else is written."""
LOOK_SECONDS = 5.0
"""Between two looks for refused events that a person wants tried again."""


class SqliteOutbox:
    """An outbox in an open file. `run` keeps it going: without it nothing reaches the disk."""

    durable = True

    def __init__(self, file: OutboxFile, *, patience: float = PATIENCE) -> None:
        found = file.contents()
        self._journal = Journal(file, self._written)
        self._last_number = found.last_number
        self._here = Order()
        self._behind = 0
        """Of `_here`, those that the broker did not confirm in time."""
        self._tail = found.waiting
        self._tail_oldest = found.oldest
        self._read_up_to = 0
        """All numbers up to this one are, or were, in memory."""
        self._unsafe = Unsafe(patience, self._write_late)
        self._marks = Marks(found.marks)
        self.refused = found.refused
        """Events set aside."""
        self._looked_at = 0.0
        self._line = Line(lambda: not self.full or self._closed is not None)
        self._empty = asyncio.Event()
        self._closed: TidingsError | None = None
        self._note_empty()

    # What it holds.

    @property
    def depth(self) -> int:
        """Events accepted and not yet confirmed."""
        return len(self._here) + self._tail

    @property
    def size_bytes(self) -> int:
        """Bytes in use in the file."""
        return self._journal.size_bytes

    @property
    def oldest(self) -> float | None:
        """When the oldest event that waits was accepted."""
        return self._here.oldest or (self._tail_oldest if self._tail else None)

    @property
    def full(self) -> bool:
        """Whether an `append` would have to wait now."""
        return self._journal.full

    @property
    def trouble(self) -> str | None:
        """Why the file cannot be written, if so."""
        return self._journal.trouble

    # Who brings events.

    async def append(self, publishing: Publishing, *, deadline: float | None = None) -> Entry:
        """Accept; see `Outbox.append`."""
        await self._enter(deadline)
        entry = self._accepted(publishing, deadline)
        if self._tail or len(self._here) >= MOST_HERE or self._here.size_bytes >= MOST_BYTES_HERE:
            self._write([entry], here=False)
        else:
            self._keep_here(entry)
            if self._behind:
                self._write([entry])
        return entry

    async def append_with(self, publishings: Sequence[Publishing], mark: Mark) -> None:
        """Accept all of them and the mark, in one transaction, before any of them is sent."""
        await self._enter(None)
        entries = [self._accepted(publishing, None) for publishing in publishings]
        self._write(entries, mark, here=False)

    def note(self, mark: Mark) -> None:
        """Remember a mark as soon as everything that was accepted before is safe."""
        self._marks.add(mark, after=self._last_number)
        self._release_marks()

    def noted(self, name: str) -> str | None:
        """Return the value of the last mark of this name."""
        return self._marks.noted(name)

    def withdraw(self, entry: Entry) -> None:
        """Forget it, if it is not on the disk or on its way there: then it will be sent."""
        if not entry.on_disk:
            self._forget(entry, None)

    # Who sends them.

    async def take(self, most: int) -> list[Entry]:
        """Return the oldest entries that are not taken, `most` at most, waiting for the first."""
        taken = await self._here.take(most, lambda: self._journal.unremoved > MOST_UNREMOVED)
        if self._tail and self._here.untaken < LOW:
            self._journal.work.set()
        return taken

    def give_back(self, entry: Entry) -> None:
        """Let a taken entry be taken again; nothing if it is over."""
        self._here.give_back(entry)

    def confirm(self, entry: Entry) -> None:
        """The broker has it: forget it, and remove it from the file with the next transaction."""
        self._forget(entry, None)

    def refuse(self, entry: Entry, error: TidingsError) -> None:
        """Tell whoever waits; where nobody does, or was told that it is safe, set it aside.

        Whoever waits has the event still, and knows why: it is not kept here as well.
        """
        if entry.over:
            return
        waited_for = entry.deadline is not None and not entry.on_disk
        if not waited_for:
            self._journal.set_aside(entry, str(error))
            self.refused += 1
        self._forget(entry, error if waited_for else None, removes=waited_for)

    async def drained(self) -> None:
        """Wait until nothing is unconfirmed."""
        await self._empty.wait()

    # The file.

    async def run(self) -> None:
        """Write what has to be written, and read what may be sent, until cancelled."""
        journal = self._journal
        while True:
            journal.work.clear()
            await to_its_end(self._take_back())
            wrote = await to_its_end(journal.write())
            read = await to_its_end(self._read())
            if not (wrote or read):
                longest = REMOVE_SECONDS if journal.unremoved else MARK_SECONDS
                with suppress(TimeoutError):
                    async with asyncio.timeout(longest):
                        await journal.work.wait()
            if self._line:
                self._line.let_in()

    async def close(self, error: TidingsError) -> None:
        """Write what is not safe, then give `error` to all for whom that was not possible."""
        self._closed = error
        self._unsafe.stop()
        self._write_late(self._unsafe.entries())
        await to_its_end(self._journal.close())
        for entry in self._unsafe.entries():
            if not entry.safe.done():
                entry.safe.set_result(error)
        self._line.dissolve()

    async def _enter(self, deadline: float | None) -> None:
        waits = (self._line or self.full) and self._closed is None
        if waits and not await self._line.wait(deadline):
            why = self.trouble or "the disk is slower than who makes events"
            raise OutboxFull(
                f"the outbox is full ({why}); this event was not accepted. Publish it again later"
            )
        if self._closed is not None:
            raise self._closed

    def _accepted(self, publishing: Publishing, deadline: float | None) -> Entry:
        self._last_number = number = self._last_number + 1
        self._empty.clear()
        entry = Entry(number, publishing, asyncio.Future(), time.time(), deadline)
        self._unsafe.add(entry)
        return entry

    def _keep_here(self, entry: Entry) -> None:
        self._here.add(entry)
        self._read_up_to = entry.number

    def _forget(self, entry: Entry, error: TidingsError | None, *, removes: bool = True) -> None:
        if entry.over:
            return
        entry.over = True
        if not self._here.forget(entry):
            self._tail -= 1  # withdrawn before it was written
        elif entry.queued:
            self._behind -= 1
        if entry.on_disk and removes:
            self._journal.remove(entry.number)
        self._make_safe(entry, error)
        self._note_empty()

    def _make_safe(self, entry: Entry, error: TidingsError | None = None) -> None:
        self._unsafe.discard(entry)
        if not entry.safe.done():
            entry.safe.set_result(error)
        if self._marks.wait:
            self._release_marks()

    def _release_marks(self) -> None:
        first_unsafe = self._unsafe.first(self._last_number + 1)
        for mark in self._marks.reached(first_unsafe):
            self._journal.mark(mark)

    def _write_late(self, entries: list[Entry]) -> None:
        for entry in entries:
            if not entry.queued and entry.wanted:
                self._write([entry])

    def _write(self, entries: list[Entry], mark: Mark | None = None, *, here: bool = True) -> None:
        if here:
            self._behind += len(entries)
        else:
            self._tail += len(entries)
        self._journal.add(Group(entries, mark, here))

    def _written(self, groups: list[Group]) -> None:
        for group in groups:
            if group.mark is not None:
                self._marks.set(group.mark)
            for entry in group.entries:
                self._make_safe(entry)
        self._here.look_again()

    async def _read(self) -> bool:
        """Read the next events into memory; False when there are none, or no room for them."""
        room, room_bytes = MOST_HERE - len(self._here), MOST_BYTES_HERE - self._here.size_bytes
        if not self._tail or self._here.untaken >= LOW or room <= 0 or room_bytes <= 0:
            return False
        found = await self._journal.read(self._read_up_to, room, room_bytes)
        if not found:
            return False
        already: Waiter = asyncio.Future()
        already.set_result(None)
        for number, accepted_at, row in found:
            entry = Entry(number, publishing_of(row), already, accepted_at)
            entry.queued = entry.on_disk = True
            self._behind += 1
            self._tail -= 1
            self._keep_here(entry)
        return True

    async def _take_back(self) -> None:
        """Bring back refused events that a person wants tried again (`tidings outbox retry`)."""
        now = time.monotonic()
        if not self.refused or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        first = self._last_number + 1
        self._last_number += MOST_AT_ONCE  # whatever comes meanwhile is younger,
        self._tail += MOST_AT_ONCE  # and goes behind them
        self._empty.clear()
        count, self.refused = await self._journal.take_back(first)
        self._tail -= MOST_AT_ONCE - count
        self._note_empty()
        if count:
            get_logger().info("refused_events_tried_again", events=count)

    def _note_empty(self) -> None:
        if not self.depth:
            self._empty.set()
