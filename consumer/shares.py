"""Which partitions this replica takes, so that all replicas have about as many. PURE.

Nobody assigns them. Each replica counts the replicas and the consumers of the partitions, takes
what nobody has up to its fair share, and leaves when it has more. That no two take
the same is up to who carries it out; as each queue has a single active consumer, it does no harm.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

AWAY_SECONDS = 3.0
"""A replica that was seen counts for so long: one that leaves in order is back in a moment."""
ADOPT_SECONDS = 10.0
"""A partition that nobody has taken for so long is taken by whoever sees it, fair or not."""


class Share(NamedTuple):
    """What to do now."""

    take: tuple[str, ...] = ()
    leave: bool = False
    """Whether this replica has more than its share, and others may lack theirs."""


def fair_share(partitions: int, replicas: int) -> int:
    """Return how many partitions a replica has at most while all take their part."""
    return -(-partitions // max(1, replicas))


class Shares:
    """The looks of one replica. `start` is where it begins to take: best another one for each."""

    def __init__(self, partitions: Sequence[str], clock: Callable[[], float], start: int) -> None:
        begin = start % max(1, len(partitions))
        self._partitions = (*partitions[begin:], *partitions[:begin])
        self._clock = clock
        self._alone_since: dict[str, float] = {}
        self._seen: deque[tuple[float, int]] = deque()
        """When there were how many replicas."""
        self._adopted_among = 0
        """How many replicas there were when this one took more than its share."""

    def anew(self) -> None:
        """Begin on a new connection: who had what meanwhile was not seen."""
        self._alone_since = {}

    def look(self, mine: AbstractSet[str], consumers: Mapping[str, int], replicas: int) -> Share:
        """Say what follows from a look; `consumers`: of each partition that is not `mine`."""
        now = self._clock()
        replicas = self._lately(replicas, now)
        fair = fair_share(len(self._partitions), replicas)
        if replicas != self._adopted_among:
            self._adopted_among = 0
            if len(mine) > fair:
                return Share(leave=True)
        free = [one for one in self._partitions if one not in mine and not consumers.get(one, 1)]
        self._alone_since = {one: self._alone_since.get(one, now) for one in free}
        room = max(0, fair - len(mine))
        take = free[:room]
        left = [one for one in free[room:] if now - self._alone_since[one] >= ADOPT_SECONDS]
        if left:
            self._adopted_among = replicas
        return Share(take=(*take, *left[:1]))  # one at a time: others look, too

    def _lately(self, replicas: int, now: float) -> int:
        """Return how many there were lately at most."""
        self._seen.append((now, replicas))
        while now - self._seen[0][0] > AWAY_SECONDS:
            self._seen.popleft()
        return max(count for _, count in self._seen)
