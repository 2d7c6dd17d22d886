"""Notes of suspects that run where they stand: written before such a run, taken away after it.

A process that dies leaves its note; so the next one knows how often the event was begun and not
ended. The notes lie in the queue `GROUP.begun`, and whoever needs one looks through all of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from uuid import uuid4

from common.broker import Connection, Supervisor
from common.errors import BrokerUnavailable, TopologyMismatch
from common.homes import begun_name
from common.message import Confirmed, Delivery, Message, Publishing
from common.seldom import Seldom
from consumer.suspicion import DEATHS_ALONE

IDENTITY = "tidings-begun"
DEATHS = "tidings-deaths-alone"
INSTANCE = "tidings-instance"
KEPT_SECONDS = 24 * 3600.0
"""A note that nobody takes away (its event was settled, then the process died) goes by itself."""
MOST_NOTES = 1000
LOOK_SECONDS = 1.0
"""For the notes that were counted to arrive; another replica may be looking at them just now."""


def identity_of(delivery: Delivery) -> str:
    """Name an event without reading it: what is in it may be what kills."""
    message = delivery.message
    return sha256((message.message_id or "").encode(errors="replace") + message.body).hexdigest()


class Notes:
    """The notes of one group. Every method raises BrokerUnavailable: then the event comes again."""

    def __init__(self, group: str, consuming: Supervisor, publishing: Supervisor) -> None:
        self._queue = begun_name(group)
        self._consuming = consuming
        self._publishing = publishing
        self._instance = uuid4().hex
        self._trouble = Seldom(10.0)

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
        async with self._notes_of(identity) as found:
            for note in found:
                note.ack()

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
        """Hold the notes of one event; all others go back at once."""
        connection = self._consuming.live
        if connection is None:
            raise BrokerUnavailable("the connection was lost")
        found: list[Delivery] = []
        seen = 0
        enough = asyncio.Event()

        def look(note: Delivery) -> None:
            nonlocal seen
            seen += 1
            if note.message.headers.get(IDENTITY) == identity:
                found.append(note)
            else:
                others.append(note)
            if seen >= there:
                enough.set()

        others: list[Delivery] = []
        there = await self._count(connection)
        if not there:
            yield found
            return
        subscription = await connection.subscribe(
            self._queue, prefetch=MOST_NOTES, on_delivery=look
        )
        try:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await enough.wait()
            except TimeoutError:
                pass
            await subscription.cancel()
            for note in others:
                note.nack()
            yield found
        finally:
            await subscription.close()

    async def _count(self, connection: Connection) -> int:
        try:
            return min(MOST_NOTES, await connection.depth(self._queue))
        except TopologyMismatch as error:
            raise BrokerUnavailable(str(error)) from None
