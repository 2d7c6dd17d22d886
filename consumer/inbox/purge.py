"""Forget what was finished too long ago, in small steps beside the work."""

import asyncio
from collections.abc import Callable

from common.stopping import to_its_end
from consumer.inbox.claim import Finished, Key
from consumer.inbox.file import Reader, Row, Unusable, Writer
from consumer.inbox.turns import Turns

STEP = 500
"""Events looked at in one step: a millisecond or two."""
PAUSE_SECONDS = 0.05
"""Between two steps; a million events take less than two minutes."""
LONGEST_WAIT = 3600.0
"""Seconds between two walks through all events."""
WAIT_WHEN_FULL = 60.0
FIRST: Key = ("", "")


class Purge:
    """Walks through the group's events again and again; removes those older than `keep` seconds."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        reads: Turns[Key, Finished[bytes] | None],
        writes: Turns[Row, None],
        *,
        keep: float,
        clock: Callable[[], float],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._reads = reads
        self._writes = writes
        self._keep = keep
        self._clock = clock
        self._wait = min(LONGEST_WAIT, keep / 10)

    async def run(self) -> None:
        """Walk until cancelled."""
        while True:
            await self.walk(PAUSE_SECONDS)
            waited = 0.0
            while waited < (WAIT_WHEN_FULL if self._writes.trouble else self._wait):
                step = min(1.0, self._wait)
                await asyncio.sleep(step)
                waited += step

    async def walk(self, pause: float = 0.0) -> None:
        """Walk through all of them once; what cannot be read or removed is left to the next."""
        after: Key | None = FIRST
        while after is not None:
            before = self._clock() - self._keep
            try:
                found = await self._reads.in_thread(self._reader.walk, after, before, STEP)
                if found.old:
                    async with self._writes.lock:
                        remove = self._writer.remove
                        await to_its_end(self._writes.in_thread(remove, found.old, before))
            except Unusable:
                return  # those who read and write say so
            after = found.last
            if after is not None:
                await asyncio.sleep(pause)
