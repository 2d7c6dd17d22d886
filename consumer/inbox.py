"""Which events this process has handled, moved, or has in hand: bounded, in memory.

It keeps an event whose ack was lost from being handled a second time, and makes a redelivery wait
for the run that is still going on. It knows its own process only; the key is (source, id), the
identity that CloudEvents gives, so that renaming a handler runs nothing again.
"""

import asyncio
from collections import OrderedDict
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


_InHand = tuple[int, int]
"""The copy (its hop), and a hash of the bytes: copies of an event are equal to the byte."""
_Past = tuple[int, int, bool]
"""The same of what is finished, and whether it was done. Plain tuples: two for each event."""


class MemoryInbox:
    """Claim before handling; then exactly one of `done`, `moved` or `forget`."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._past: OrderedDict[Key, _Past] = OrderedDict()
        self._in_hand: dict[Key, _InHand] = {}
        self._ends: dict[Key, asyncio.Future[None]] = {}
        """Where another delivery waits for the end of a run."""

    def __len__(self) -> int:
        """Events remembered now."""
        return len(self._past) + len(self._in_hand)

    def take(self, key: Key, hop: int, body: bytes) -> Claim | None:
        """Take the event in hand, unless it was seen before; None while it is in hand already."""
        if key in self._in_hand:
            return None
        content = hash(body)
        found = self._past.get(key)
        if found is not None:
            last_hop, same, done = found
            if content != same:
                return Claim.CONFLICT
            if done or hop <= last_hop:
                return Claim.SEEN
            del self._past[key]
        self._in_hand[key] = hop, content
        return Claim.TAKEN

    async def claim(self, key: Key, hop: int, body: bytes) -> Claim:
        """Take it, and wait while another delivery of it is in hand here."""
        while (claim := self.take(key, hop, body)) is None:
            end = self._ends.get(key)
            if end is None:
                end = self._ends[key] = asyncio.get_running_loop().create_future()
            await asyncio.shield(end)
        return claim

    def done(self, key: Key) -> None:
        """It is handled: never again here."""
        self._remember(key, done=True)

    def moved(self, key: Key) -> None:
        """A later copy of it is safe with the broker: this copy is finished, that one is not."""
        self._remember(key, done=False)

    def forget(self, key: Key) -> None:
        """Nothing came of it: it may be taken in hand again."""
        self._in_hand.pop(key, None)
        self._tell_end(key)

    def _remember(self, key: Key, *, done: bool) -> None:
        hop, content = self._in_hand.pop(key)
        self._past[key] = hop, content, done
        if self._ends:
            self._tell_end(key)
        while len(self._past) > self._size:
            self._past.popitem(last=False)

    def _tell_end(self, key: Key) -> None:
        end = self._ends.pop(key, None)
        if end is not None:
            end.set_result(None)
