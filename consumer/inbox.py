"""Which events this process has handled, moved, or has in hand: bounded, in memory.

It keeps an event whose ack was lost from being handled a second time, and makes a redelivery wait
for the run that is still going on. It knows its own process only; the key is (source, id), the
identity that CloudEvents gives, so that renaming a handler runs nothing again.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

Key = tuple[str, str]

REMEMBERED = 100_000
"""Events remembered: about 30 MB at most, and minutes of full load."""


@dataclass(slots=True)
class _Record:
    hop: int
    """The copy that is in hand, or that was moved or done."""
    running: asyncio.Future[None] | None
    done: bool = False


class MemoryInbox:
    """Claim before handling; then exactly one of `done`, `moved` or `forget`."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._records: OrderedDict[Key, _Record] = OrderedDict()

    async def claim(self, key: Key, hop: int) -> bool:
        """Take the event in hand; False when it has been done, or this copy of it moved on.

        Waits while another delivery of it is in hand here.
        """
        while (found := self._records.get(key)) is not None:
            if found.running is not None:
                await asyncio.shield(found.running)
                continue
            if found.done or hop <= found.hop:
                return False
            break
        self._records[key] = _Record(hop, asyncio.get_running_loop().create_future())
        self._records.move_to_end(key)
        return True

    def done(self, key: Key) -> None:
        """It is handled: never again here."""
        self._settled(key, done=True)

    def moved(self, key: Key) -> None:
        """A later copy of it is safe with the broker: this copy is finished, that one is not."""
        self._settled(key, done=False)

    def forget(self, key: Key) -> None:
        """Nothing came of it: it may be taken in hand again."""
        record = self._records.pop(key, None)
        if record is not None and record.running is not None:
            record.running.set_result(None)

    def _settled(self, key: Key, *, done: bool) -> None:
        record = self._records[key]
        record.done = done
        if record.running is not None:
            record.running.set_result(None)
            record.running = None
        while len(self._records) > self._size:
            oldest = next(iter(self._records))
            if self._records[oldest].running is not None:
                break  # in hand: at most as many as the concurrency
            del self._records[oldest]
