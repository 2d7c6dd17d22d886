"""The inbox on disk: what was handled is known after a crash, and to all consumers of the host.

A claim reads; only the end of an event is written, so a process that dies leaves nothing behind
that somebody would have to clear away. While the file cannot be written nothing more is claimed,
and what has been handled waits to be written before it is acknowledged.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from consumer.inbox.claim import Claim, Finished, Key, content_of, judge
from consumer.inbox.effects import Effects
from consumer.inbox.file import Row
from consumer.inbox.in_hand import InHand
from consumer.inbox.opening import InboxFile
from consumer.inbox.protocol import Begun
from consumer.inbox.purge import Purge
from consumer.inbox.recent import REMEMBERED, Recent
from consumer.inbox.turns import Turns


class _Held(NamedTuple):
    """What the claim of an event in hand said."""

    hop: int
    content: bytes


class SqliteInbox:
    """An inbox in an open file; remembers for `keep` seconds of `clock`, which is wall time.

    `run` keeps it going: without it nothing is read or written.
    """

    durable = True

    def __init__(
        self, file: InboxFile, *, keep: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._clock = clock
        self._in_hand: InHand[_Held] = InHand()
        self._recent: Recent[bytes] = Recent(size=REMEMBERED, keep=keep, clock=clock)
        """Of what is in the file, what this process has written last."""
        self._reads: Turns[Key, Finished[bytes] | None] = Turns("read", file.reader.find)
        self._writes: Turns[Row, None] = Turns("written", file.writer.write)
        self._effects = Effects(file.handlers, self._writes, self._kept)
        self._purge = Purge(
            file.reader, file.writer, self._reads, self._writes, keep=keep, clock=clock
        )

    @property
    def trouble(self) -> str | None:
        """Why the file cannot be written or read, if so."""
        return self._writes.trouble or self._reads.trouble

    def take(self, key: Key, hop: int, body: bytes) -> Claim | None:
        """Answer at once about what was finished here lately; None for all else."""
        if key in self._in_hand:
            return None
        found = self._recent.find(key)
        # Only what is seen stays so: of all else another process may know more.
        seen = found is not None and judge(found, hop, content_of(body)) is Claim.SEEN
        return Claim.SEEN if seen else None

    async def claim(self, key: Key, hop: int, body: bytes) -> Claim:
        """Look into the file, and take the event in hand; see `Inbox.claim`."""
        while key in self._in_hand:
            await self._in_hand.end_of(key)
        content = content_of(body)
        claim: Claim | None = None
        self._in_hand.held[key] = _Held(hop, content)
        try:
            await self._writes.well()
            known = self._recent.find(key)
            if judge(known, hop, content) is not Claim.SEEN:
                known = await self._reads.ask(key)
            claim = judge(known, hop, content)
        finally:
            if claim is not Claim.TAKEN:
                self._in_hand.let_go(key)
        return claim

    def done(self, key: Key) -> bool:  # noqa: ARG002 - the protocol's
        """Say that it takes a `finish`."""
        return False

    async def finish(self, key: Key, *, done: bool) -> None:
        """Write that it is finished; returns when that is committed."""
        held = self._in_hand.held.get(key)
        if held is None:
            return
        row = self._row(key, held, done=done)
        try:
            await self._writes.ask(row)
        except asyncio.CancelledError:
            self._in_hand.let_go(key)
            raise
        self._kept(row)

    def forget(self, key: Key) -> None:
        """Nothing came of it: it may be taken in hand again."""
        self._in_hand.let_go(key)

    @asynccontextmanager
    async def transaction(self, key: Key) -> AsyncIterator[Begun]:
        """Begin a transaction that finishes a claimed event; see `Inbox.transaction`."""
        row = self._row(key, self._in_hand.held[key], done=True)
        async with self._effects.transaction(row) as begun:
            if begun.claim is not Claim.TAKEN:
                self._in_hand.let_go(key)
            yield begun

    async def run(self) -> None:
        """Read, write and purge until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reads.run(), name="inbox reads")
            tasks.create_task(self._writes.run(), name="inbox writes")
            tasks.create_task(self._purge.run(), name="inbox purge")

    async def close(self) -> None:
        """Write what is left, if that is possible, and close the file."""

        def close_writers() -> None:
            self._file.handlers.close()
            self._file.writer.close()

        await self._writes.close(close_writers)
        await self._reads.close(self._file.reader.close)

    def _row(self, key: Key, held: _Held, *, done: bool) -> Row:
        return Row(key, held.hop, held.content, done, int(self._clock()))

    def _kept(self, row: Row) -> None:
        self._recent.add(row.key, row.hop, row.content, row.done)
        self._in_hand.let_go(row.key)
