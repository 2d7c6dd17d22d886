"""The disk side of an outbox: what is to be written next, one transaction at a time.

All that comes while a transaction is being committed goes into the next one, so callers that arrive
together share one `fsync`. What cannot be written is kept, tried again, and said.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from common.logs import get_logger
from common.seldom import Seldom
from producer.outbox.entry import Entry
from producer.outbox.file import Batch, NoRoom, NotWritten, OutboxFile, Refusal, Stored
from producer.outbox.marks import Mark
from producer.outbox.rows import row_of

MOST_AT_ONCE = 1024
"""Entries of one transaction, or one reading."""
MOST_QUEUED = 2048
"""Entries that wait for the next transactions before whoever brings more has to wait."""
MOST_BYTES_AT_ONCE = 16 * 1024 * 1024
"""Bytes of their bodies."""
REMOVED_AT_ONCE = 512
REMOVE_SECONDS = 0.1
"""Fewer confirmed events than that wait for so long to be removed, when nothing else is written: a
crash meanwhile sends them once more, and each transaction costs as much as sending 20 events."""
AGAIN_SECONDS = 1.0
"""Between two tries after one has failed."""
NOTICE_SECONDS = 10.0

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Group:
    """Entries to be written together, with a mark; `here`: they are in memory as well."""

    entries: list[Entry]
    mark: Mark | None = None
    here: bool = True


class Journal:
    """Writes an open file in one thread. `written` is called with the groups of each commit."""

    def __init__(self, file: OutboxFile, written: Callable[[list[Group]], None]) -> None:
        self._file = file
        self._written = written
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._groups: deque[Group] = deque()
        self._confirmed: list[int] = []
        self._refusals: list[Refusal] = []
        self._marks: dict[str, Mark] = {}
        self._next_removal = 0.0
        self._no_adding_before = 0.0
        self._no_writing_before = 0.0
        self._no_reading_before = 0.0
        self._notices = Seldom(NOTICE_SECONDS)
        self._log = get_logger()
        self.queued = 0
        """Entries that wait to be written."""
        self._queued_bytes = 0
        self.size_bytes = file.size_bytes
        """Bytes in use in the file."""
        self.trouble: str | None = None
        """Why the file cannot be written or read, if so."""
        self.work = asyncio.Event()
        """Set when there is something to do."""

    @property
    def full(self) -> bool:
        """Whether no more should be added: the disk is too slow, or takes nothing."""
        stuck = self.trouble is not None and self.queued > 0
        return stuck or self.queued >= MOST_QUEUED or self._queued_bytes >= MOST_BYTES_AT_ONCE

    @property
    def unremoved(self) -> int:
        """Confirmed events that the file still has."""
        return len(self._confirmed)

    def add(self, group: Group) -> None:
        """Write these."""
        for entry in group.entries:
            entry.queued = True
        self._groups.append(group)
        self._count(group, 1)
        self.work.set()

    def remove(self, number: int) -> None:
        """Remove a confirmed event, soon."""
        self._confirmed.append(number)
        if len(self._confirmed) >= REMOVED_AT_ONCE:
            self.work.set()

    def set_aside(self, entry: Entry, reason: str) -> None:
        """Keep a refused event with its reason."""
        event = Stored(entry.number, entry.accepted_at, row_of(entry.publishing))
        self._refusals.append(Refusal(event, reason, time.time()))
        self.work.set()

    def mark(self, mark: Mark) -> None:
        """Write a mark, with the next transaction."""
        self._marks[mark.name] = mark

    async def write(self, *, at_once: bool = False) -> bool:
        """Write one transaction; False when there was nothing to write, or it could not be.

        A few removals are not worth one, unless it has to be `at_once`.
        """
        now = time.monotonic()
        if now < self._no_writing_before:
            return False
        groups: list[Group] = []
        refusals: list[Refusal] = []
        if now >= self._no_adding_before:
            groups = self._next_groups()
            refusals, self._refusals = self._refusals, []
        confirmed: list[int] = []
        few = len(self._confirmed) < REMOVED_AT_ONCE and now < self._next_removal
        if groups or refusals or at_once or not few:
            confirmed = self._confirmed.copy()  # counted until they are removed
            self._next_removal = now + REMOVE_SECONDS
        marks, self._marks = self._marks, {}
        batch = Batch(
            confirmed,
            refusals,
            [
                Stored(entry.number, entry.accepted_at, row_of(entry.publishing))
                for group in groups
                for entry in group.entries
            ],
            [*(group.mark for group in groups if group.mark is not None), *marks.values()],
        )
        if not batch:
            if not (self.queued or self._refusals):
                self._say_well()
            return False
        try:
            self.size_bytes = await self._in_thread(self._file.commit, batch)
        except (NoRoom, NotWritten) as error:
            self._put_back(groups)
            self._refusals[:0] = refusals
            self._marks = marks | self._marks
            return self._failed(error, added=bool(groups or refusals))
        if confirmed:
            del self._confirmed[: len(confirmed)]
            self._no_adding_before = 0.0
        if groups or refusals or not (self.queued or self._refusals):
            self._say_well()
        self._written(groups)
        return True

    async def read(self, after: int, most: int, most_bytes: int) -> list[Stored]:
        """Return the oldest events with numbers over `after`; none when they cannot be read."""
        if time.monotonic() < self._no_reading_before:
            return []
        most = min(most, MOST_AT_ONCE)
        try:
            return await self._in_thread(self._file.load, after, most, most_bytes)
        except NotWritten as error:
            self._no_reading_before = time.monotonic() + AGAIN_SECONDS
            self._say("outbox_not_read", str(error))
            return []

    async def take_back(self, first: int) -> tuple[int, int]:
        """Make events again of what a person wants tried again, up to `MOST_AT_ONCE`.

        They get the numbers from `first` on. Returns how many, and how many are still set aside.
        """
        count = 0
        try:
            count = await self._in_thread(self._file.take_back, first, MOST_AT_ONCE, time.time())
        except (NoRoom, NotWritten) as error:
            self._say("outbox_not_written", str(error))
        still = await self._in_thread(self._file.count_refused)
        return count, still + len(self._refusals)

    async def close(self) -> None:
        """Write all there is, if that is possible, and close the file."""
        self._no_adding_before = self._no_writing_before = 0.0
        while await self.write(at_once=True):
            pass
        await self._in_thread(self._file.close)
        self._thread.shutdown()

    def _next_groups(self) -> list[Group]:
        """Take what the next transaction adds; a group is never divided."""
        groups: list[Group] = []
        entries = size = 0
        while self._groups and entries < MOST_AT_ONCE and size < MOST_BYTES_AT_ONCE:
            group = self._groups.popleft()
            self._count(group, -1)
            group.entries = [entry for entry in group.entries if not entry.over]
            if not group.entries and group.mark is None:
                continue
            groups.append(group)
            entries += len(group.entries)
            for entry in group.entries:
                entry.on_disk = True
                size += len(entry.publishing.message.body)
        return groups

    def _put_back(self, groups: list[Group]) -> None:
        self._groups.extendleft(reversed(groups))
        for group in groups:
            self._count(group, 1)
            for entry in group.entries:
                entry.on_disk = False

    def _count(self, group: Group, sign: int) -> None:
        self.queued += sign * len(group.entries)
        size = sum(len(entry.publishing.message.body) for entry in group.entries)
        self._queued_bytes += sign * size

    def _failed(self, error: NoRoom | NotWritten, *, added: bool) -> bool:
        """Do without the disk for a while; True when removing alone is worth a try at once."""
        until = time.monotonic() + AGAIN_SECONDS
        self._no_adding_before = until
        self._say("outbox_not_written", str(error))
        if isinstance(error, NoRoom) and added:
            return True
        self._no_writing_before = until
        return False

    def _say(self, event: str, reason: str) -> None:
        self.trouble = reason
        if times := self._notices.due(event):
            self._log.error(event, reason=reason, times=times)

    def _say_well(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            self._log.info("outbox_written_again")

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)
