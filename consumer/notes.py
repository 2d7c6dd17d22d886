"""Notes of suspects that run where they stand: written before such a run, taken away after it.

A process that dies leaves its note; so the next one knows how often the event was begun and not
ended. The notes lie in the queue `GROUP.begun`, and whoever needs one looks through all of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from common.broker import Connection, Supervisor
from common.errors import BrokerUnavailable, TopologyMismatch
from common.homes import begun_name, looking_name
from common.message import Confirmed, Delivery, Message, Publishing
from consumer.suspicion import DEATHS_ALONE
from consumer.turn import turn

IDENTITY = "tidings-begun"
DEATHS = "tidings-deaths-alone"
INSTANCE = "tidings-instance"
KEPT_SECONDS = 24 * 3600.0
"""A note that nobody takes away (its event was settled, then the process died) goes by itself."""
MOST_NOTES = 1000
LOOK_SECONDS = 1.0
"""For the notes that were counted to arrive; another replica may be looking at them just now."""
BACK_SECONDS = 0.02
"""Between two looks at whether the notes of others are back."""


class Notes:
    """The notes of one group. Every method raises BrokerUnavailable: then the event comes again."""

    def __init__(self, group: str, consuming: Supervisor, publishing: Supervisor) -> None:
        self._group = group
        self._queue = begun_name(group)
        self._consuming = consuming
        self._publishing = publishing
        self._instance = uuid4().hex
        self._one = asyncio.Lock()
        self._left: set[str] = set()
        """Of runs that have ended, and whose note could not be taken away: at the next look."""

    async def begun(self, identity: str) -> int:
        """Note that a run of it begins; return how many processes ended in such a run before.

        Where those are enough already, no run begins, and no note is left.
        """
        async with self._notes_of(identity) as found:
            deaths = max(map(self._deaths, found), default=0)
            if deaths < DEATHS_ALONE:
                await self._write(identity, deaths)
            for note in found:
                note.ack()
        return deaths

    async def ended(self, identity: str) -> None:
        """Take the note away: its run has ended, however it did."""
        self._left.add(identity)
        async with self._notes_of(identity) as found:
            for note in found:
                note.ack()
        self._left.discard(identity)

    def _deaths(self, note: Delivery) -> int:
        """Count those before that note, and its own: of this process, only the connection went."""
        before = note.message.headers.get(DEATHS, 0)
        own = note.message.headers.get(INSTANCE) == self._instance
        return (before if isinstance(before, int) else 0) + (0 if own else 1)

    async def _write(self, identity: str, deaths: int) -> None:
        headers = {IDENTITY: identity, DEATHS: deaths, INSTANCE: self._instance}
        message = Message(b"", headers=headers)
        connection = await self._publishing.connection()
        answer = await connection.publish(
            Publishing(self._queue, self._queue, message, expiration=KEPT_SECONDS)
        )
        if not isinstance(answer, Confirmed):
            raise BrokerUnavailable(f"exchange '{self._queue}': no note could be left: {answer!r}")

    @asynccontextmanager
    async def _notes_of(self, identity: str) -> AsyncIterator[list[Delivery]]:
        """Hold the notes of one event; all others go back at once. One looks at a time."""
        connection = self._consuming.live
        if connection is None:
            raise BrokerUnavailable("the connection was lost")
        async with (
            self._one,
            turn(connection, looking_name(self._group), waits=True),
            self._look(connection, identity) as found,
        ):
            yield found

    @asynccontextmanager
    async def _look(self, connection: Connection, identity: str) -> AsyncIterator[list[Delivery]]:
        found: list[Delivery] = []
        seen = 0
        enough = asyncio.Event()

        def look(note: Delivery) -> None:
            nonlocal seen
            seen += 1
            named = note.message.headers.get(IDENTITY)
            if named == identity:
                found.append(note)
            elif named in self._left and note.message.headers.get(INSTANCE) == self._instance:
                note.ack()
                self._left.discard(str(named))
            else:
                others.append(note)
            if seen >= there:
                enough.set()

        others: list[Delivery] = []
        there = await self._count(connection)
        if not there:
            yield found
            return
        try:
            subscription = await connection.subscribe(
                self._queue, prefetch=MOST_NOTES, on_delivery=look
            )
        except TopologyMismatch as error:  # it was there a moment ago
            raise BrokerUnavailable(str(error)) from None
        try:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await enough.wait()
            except TimeoutError:
                pass
            await subscription.cancel()
            for note in others:
                note.nack()
            await self._back(connection, len(others))
            yield found
        finally:
            await subscription.close()

    async def _back(self, connection: Connection, count: int) -> None:
        """Wait until so many can be seen again: the next look would miss those on their way."""
        loop = asyncio.get_running_loop()
        end = loop.time() + LOOK_SECONDS
        while count and await self._count(connection) < count:
            if loop.time() > end:  # another replica looks at them, or has taken its own away
                return
            await asyncio.sleep(BACK_SECONDS)

    async def _count(self, connection: Connection) -> int:
        try:
            return min(MOST_NOTES, await connection.depth(self._queue))
        except TopologyMismatch as error:
            raise BrokerUnavailable(str(error)) from None
