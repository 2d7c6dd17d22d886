"""Which of the deliveries in hand is handled next, by the order of the group. PURE.

`offer` what has arrived, `take` what may start now, and where one waits for another also `done`,
`hold` and `resume`. Nothing is bounded here: what is in hand is bounded by the prefetch.
"""

import heapq
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)

Clock = Callable[[], float]
"""Seconds that only grow."""

SECONDS_PER_LEVEL = 1.0
"""Waiting so long weighs as much as one level of priority: nothing in hand waits for ever."""
NORMAL_PRIORITY = 4
"""Of an event without a priority, as RabbitMQ 4.3 has it."""
HIGHEST_PRIORITY = 31
LONGEST_WAIT = 60.0
"""Seconds in hand after which the oldest goes before the newest."""


class Waiting(Protocol[T]):
    """What is in hand and has not started."""

    def offer(self, item: T, /) -> None:
        """Take in hand what has arrived, after all that arrived before."""

    def take(self) -> T | None:
        """Return what is to start now, and forget it; None where nothing may."""

    def forget(self, gone: Callable[[T], bool]) -> int:
        """Drop what is not in hand any more; return how many those were."""

    def __len__(self) -> int: ...


class InArrival(deque[T]):
    """First come, first started."""

    offer = deque.append

    def take(self) -> T | None:
        """Return the one that has waited longest."""
        return self.popleft() if self else None

    def forget(self, gone: Callable[[T], bool]) -> int:
        """Drop what is gone."""
        kept = [one for one in self if not gone(one)]
        dropped = len(self) - len(kept)
        self.clear()
        self.extend(kept)
        return dropped


class Newest(Generic[T]):
    """The newest first; but none that has waited for `LONGEST_WAIT` waits longer for newer ones."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: deque[tuple[float, T]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._items)

    def offer(self, item: T, /) -> None:
        """Take it in hand."""
        self._items.append((self._clock(), item))

    def take(self) -> T | None:
        """Return the newest, or the oldest where that has waited for too long."""
        if not self._items:
            return None
        if self._clock() - self._items[0][0] >= LONGEST_WAIT:
            return self._items.popleft()[1]
        return self._items.pop()[1]

    def forget(self, gone: Callable[[T], bool]) -> int:
        """Drop what is gone."""
        before = len(self._items)
        self._items = deque(one for one in self._items if not gone(one[1]))
        return before - len(self._items)


class Highest(Generic[T]):
    """The highest priority first, of equal ones the first that came; waiting raises it.

    One that came `SECONDS_PER_LEVEL` earlier counts as one level higher. So what is started before
    an event that waits has come at most 31 such times later, whatever the priorities are.
    """

    def __init__(self, clock: Clock, priority_of: Callable[[T], int | None]) -> None:
        self._clock = clock
        self._priority_of = priority_of
        self._heap: list[tuple[float, int, T]] = []
        self._offered = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap)

    def offer(self, item: T, /) -> None:
        """Take it in hand."""
        given = self._priority_of(item)
        priority = NORMAL_PRIORITY if given is None else min(given, HIGHEST_PRIORITY)
        rank = self._clock() / SECONDS_PER_LEVEL - priority
        self._offered += 1  # no two are equal, so the items themselves are never compared
        heapq.heappush(self._heap, (rank, self._offered, item))

    def take(self) -> T | None:
        """Return the most urgent."""
        return heapq.heappop(self._heap)[2] if self._heap else None

    def forget(self, gone: Callable[[T], bool]) -> int:
        """Drop what is gone."""
        before = len(self._heap)
        self._heap = [one for one in self._heap if not gone(one[2])]
        heapq.heapify(self._heap)
        return before - len(self._heap)


class ByKey(Generic[H]):
    """One of each key at a time, in the order of their arrival; the keys take turns.

    A key whose event is held waits until that is resumed, and is the next to start then. One that
    must be `alone` starts when nothing runs, and nothing starts beside it, nor before it from its
    turn on, but what is resumed.
    """

    def __init__(self, key_of: Callable[[H], str], alone: Callable[[H], bool]) -> None:
        self._key_of = key_of
        self._alone = alone
        self._lanes: dict[str, deque[H]] = {}
        """What waits, by key; a key that is busy has a lane too."""
        self._ready: deque[str] = deque()
        """Keys whose first may start."""
        self._running: set[H] = set()
        self._held: set[H] = set()
        self._solo = False

    def __len__(self) -> int:
        """How many wait, those that are held among them."""
        return sum(map(len, self._lanes.values()))

    @property
    def running(self) -> int:
        """How many were taken and are not done."""
        return len(self._running)

    def offer(self, item: H, /) -> None:
        """Take it in hand, behind those of its key."""
        key = self._key_of(item)
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = deque((item,))
            self._ready.append(key)
        else:
            lane.append(item)

    def take(self) -> H | None:
        """Return the first of the key whose turn it is, which is busy from now on."""
        if self._solo or not self._ready:
            return None
        lane = self._lanes[self._ready[0]]
        item = lane[0]
        if self._alone(item):
            if self._running:
                return None
            self._solo = True
        self._ready.popleft()
        lane.popleft()
        self._running.add(item)
        return item

    def done(self, item: H) -> None:
        """Let the next of its key start; one that was taken ends in this or in `hold`."""
        self._ended(item)
        self._free(self._key_of(item))

    def hold(self, item: H) -> None:
        """Put it back where it was: none of its key starts before it, and it when it is resumed."""
        self._ended(item)
        self._held.add(item)
        self._lanes[self._key_of(item)].appendleft(item)

    def resume(self, item: H) -> None:
        """Let what is held start again, before other keys; nothing if it was forgotten."""
        if item in self._held:
            self._held.remove(item)
            self._ready.appendleft(self._key_of(item))

    def forget(self, gone: Callable[[H], bool]) -> int:
        """Drop of what waits or is held what is not in hand any more; what runs keeps its key."""
        busy = {self._key_of(one) for one in self._running}
        before = len(self)
        for key, lane in tuple(self._lanes.items()):
            kept = deque(one for one in lane if not gone(one))
            if len(kept) == len(lane):
                continue
            self._held.difference_update(set(lane).difference(kept))
            self._lanes[key] = kept
            if key in busy or (kept and kept[0] in self._held):
                continue
            if key not in self._ready:
                self._free(key)
            elif not kept:  # with something left it keeps its turn
                self._ready.remove(key)
                del self._lanes[key]
        return before - len(self)

    def _ended(self, item: H) -> None:
        self._running.remove(item)
        self._solo = False

    def _free(self, key: str) -> None:
        if self._lanes[key]:
            self._ready.append(key)
        else:
            del self._lanes[key]
