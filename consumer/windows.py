"""How many deliveries are in hand at most, running and waiting: the prefetch. PURE."""

from common.homes import Order

Version = tuple[int, int]

AHEAD = 4
"""One delivery in four is held ready beside those that run, so that a free slot never waits."""
CHOICE = 256
"""In hand where the choice among them is what the order promises."""
LINE = 100
"""With one handler at a time: a prefetch of 1 costs a round trip for each event."""
LANES = 32
"""Of each partition, of which a process may have many."""
LEVELS_SINCE: Version = (4, 0)
"""From this version on the broker itself gives out the urgent first: what is in hand already it
cannot put behind, so few are."""
LARGEST = 65_535


def window_of(order: Order, concurrency: int, chosen: int | None, version: Version) -> int:
    """Return the prefetch of a group's queue, or with `key` of each of its partitions."""
    if chosen is not None:
        return chosen
    match order:
        case "fifo":
            return LINE
        case "key":
            return LANES
        case "lifo":
            return min(LARGEST, max(CHOICE, AHEAD * concurrency))
        case "priority" if version < LEVELS_SINCE:
            return min(LARGEST, max(CHOICE, AHEAD * concurrency))
        case "any" | "priority":
            return min(LARGEST, concurrency + max(1, concurrency // AHEAD))
