"""What was finished lately, in memory: bounded by count and by age."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic

from consumer.inbox.claim import C, Finished, Key

REMEMBERED = 50_000
"""Events: 16 MB at most, and minutes of full load."""


class Recent(Generic[C]):
    """Remembers the last `size` events for `keep` seconds of `clock`."""

    def __init__(self, *, size: int, keep: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._keep = keep
        self._clock = clock
        self.events: OrderedDict[Key, tuple[int, C, bool, float]] = OrderedDict()
        """In the order of their time, the last field. Plain tuples: one for each event."""
        self._fresh_until = 0.0
        """Until then nothing here can be too old."""

    def __len__(self) -> int:
        return len(self.events)

    def find(self, key: Key) -> Finished[C] | None:
        """Return what is remembered of an event, if it is not too long ago."""
        found = self.events.get(key)
        if found is None:
            return None
        hop, content, done, at = found
        if self._clock() - at >= self._keep:
            del self.events[key]
            return None
        return Finished(hop, content, done)

    def add(self, key: Key, hop: int, content: C, done: bool) -> None:  # noqa: FBT001 - by keyword costs a tenth of it
        """Remember; what is too old or too much for that is forgotten."""
        now = self._clock()
        events = self.events
        if key in events:
            del events[key]
        events[key] = hop, content, done, now
        if len(events) > self._size:
            events.popitem(last=False)
        if now >= self._fresh_until:
            self._forget_old(now)

    def _forget_old(self, now: float) -> None:
        # One in, up to two out: after a pause no single event pays for all that became too old.
        for _ in range(2):
            self._fresh_until = next(iter(self.events.values()))[3] + self._keep
            if now < self._fresh_until:
                break
            self.events.popitem(last=False)
