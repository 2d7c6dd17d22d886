"""Which events this process has handled, moved, or has in hand: bounded, in memory.

It keeps an event whose ack was lost from being handled a second time, and makes a redelivery wait
for the run that is still going on. It knows its own process only; the key is (source, id), the
identity that CloudEvents gives, so that renaming a handler runs nothing again.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256

Key = tuple[str, str]
LONGEST_KEY = 512

REMEMBERED = 50_000
"""Events remembered: 16 MB at most, and minutes of full load."""


def key_of(source: str, identity: str) -> Key:
    """Name an event; long names, which a sender may choose without end, by their digest."""
    if len(source) + len(identity) <= LONGEST_KEY:
        return source, identity
    return "sha256", sha256(f"{source}\0{identity}".encode(errors="replace")).hexdigest()


class Claim(Enum):
    """The answer to a claim."""

    TAKEN = auto()
    """It is yours: end with `done`, `moved` or `forget`."""
    SEEN = auto()
    """It has been done, or this copy of it has moved on."""
    CONFLICT = auto()
    """Another event was seen under the same source and id, with other content."""


@dataclass(slots=True)
class _Record:
    hop: int
    """The copy that is in hand, or that was moved or done."""
    content: int
    """A hash of the bytes: copies of an event are equal to the byte."""
    running: asyncio.Future[None] | None
    done: bool = False


class MemoryInbox:
    """Claim before handling; then exactly one of `done`, `moved` or `forget`."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._records: OrderedDict[Key, _Record] = OrderedDict()

    def __len__(self) -> int:
        """Events remembered now."""
        return len(self._records)

    async def claim(self, key: Key, hop: int, body: bytes) -> Claim:
        """Take the event in hand, unless it was seen before.

        Waits while another delivery of it is in hand here.
        """
        content = hash(body)
        while (found := self._records.get(key)) is not None:
            if found.running is not None:
                await asyncio.shield(found.running)
                continue
            if found.content != content:
                return Claim.CONFLICT
            if found.done or hop <= found.hop:
                return Claim.SEEN
            break
        self._records[key] = _Record(hop, content, asyncio.get_running_loop().create_future())
        self._records.move_to_end(key)
        return Claim.TAKEN

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
        for _ in range(len(self._records) - self._size):
            oldest, found = next(iter(self._records.items()))
            if found.running is None:
                del self._records[oldest]
            else:
                self._records.move_to_end(oldest)  # in hand: as many as the concurrency at most
