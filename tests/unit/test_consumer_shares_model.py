"""Many replicas share partitions by `Shares` alone, in simulated time, and come to rest.

A queue shows one consumer however many stand by, as a broker does for a single active consumer; a
replica that leaves is away for a moment; looks are not all at the same time, and take time
themselves: between what a replica saw and what it does, others act.
"""

import heapq
from collections.abc import Callable
from itertools import count
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from consumer.ordered_intake import LOOK_SECONDS, LOOKS_SOON, SOON_SECONDS
from consumer.shares import ADOPT_SECONDS, AWAY_SECONDS, Shares, fair_share

LONGEST_LOOK = LOOK_SECONDS * 1.5
RPC = 0.02
BACK = (0.1, 1.0)
"""Seconds until one that left in order, or was cut off, consumes again."""
BEGIN = 1000.0


class World:
    """The broker's queues, a clock, and what happens at which time."""

    def __init__(self, partitions: int, seed: int) -> None:
        self.now = BEGIN
        self.dice = Random(seed)
        self.names = tuple(f"p{number}" for number in range(partitions))
        self.standing: dict[str, list[Replica]] = {name: [] for name in self.names}
        """Who consumes each queue: the first is active."""
        self.replicas: list[Replica] = []
        self.leaves: list[float] = []
        self.alone: dict[str, float] = {}
        """Since when nobody consumes it, while there is a replica."""
        self.longest_alone = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._numbers), do))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, do = heapq.heappop(self._agenda)
            do()
            self._watch()
        self.now = end
        self._watch()

    @property
    def members(self) -> int:
        return sum(one.connected for one in self.replicas)

    def consumers(self, name: str) -> int:
        return min(1, len(self.standing[name]))

    def join(self) -> None:
        self.replicas.append(Replica(self))

    def die(self, place: int) -> None:
        if self.replicas:
            self.replicas.pop(place % len(self.replicas)).gone()

    def cut(self, place: int, seconds: float) -> None:
        """Lose a replica's connection, which comes back later."""
        if self.replicas:
            replica = self.replicas[place % len(self.replicas)]
            if replica.connected:
                replica.gone()
                self.later(seconds, replica.connect)

    def _watch(self) -> None:
        for name, standing in self.standing.items():
            if standing or not self.members:
                self.alone.pop(name, None)
            else:
                since = self.alone.setdefault(name, self.now)
                self.longest_alone = max(self.longest_alone, self.now - since)


class Replica:
    """One that looks and does what `Shares` says, as `OrderedIntake` does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shares = Shares(world.names, lambda: world.now, world.dice.randrange(1000))
        self.mine: set[str] = set()
        self.connected = False
        self.greedy = False
        """Whether it ever took what nobody had taken, beyond its share."""
        self._session = 0
        self._looks = 0
        self.connect()

    def connect(self) -> None:
        if self in self.world.replicas or not self._session:
            self.connected = True
            self._session += 1
            self._looks = 0
            self.shares.anew()
            self._begin_look(self._session)

    def gone(self) -> None:
        self._session += 1
        self.connected = False
        self.mine = set()
        for standing in self.world.standing.values():
            if self in standing:
                standing.remove(self)

    def _begin_look(self, session: int) -> None:
        if session != self._session:
            return
        world = self.world
        self._looks += 1
        replicas = max(1, world.members)
        counts = {name: world.consumers(name) for name in world.names if name not in self.mine}
        world.later(RPC * world.dice.random(), lambda: self._end_look(session, counts, replicas))

    def _end_look(self, session: int, counts: dict[str, int], replicas: int) -> None:
        if session != self._session:
            return
        world = self.world
        found = self.shares.look(self.mine, counts, replicas)
        assert not (found.leave and found.take)
        assert all(counts[name] == 0 for name in found.take)
        if found.leave:
            world.leaves.append(world.now)
            self.gone()
            self.greedy = False
            world.later(world.dice.uniform(*BACK), self.connect)
            return
        for name in found.take:
            world.standing[name].append(self)
        self.mine.update(found.take)
        self.greedy |= len(self.mine) > fair_share(len(world.names), replicas)
        seconds = SOON_SECONDS if self._looks <= LOOKS_SOON else LOOK_SECONDS
        world.later(seconds * world.dice.uniform(0.5, 1.5), lambda: self._begin_look(session))


CALM = 3 * ADOPT_SECONDS + 3 * AWAY_SECONDS + 6 * LONGEST_LOOK
SEEN_AND_TAKEN = ADOPT_SECONDS + 2 * (LONGEST_LOOK + RPC)
"""A look that sees it free, as late as can be, and one that takes it."""

happenings = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.just(0)),
        st.tuples(st.just("die"), st.integers(0, 9)),
        st.tuples(st.just("cut"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 3, 12, 60])),
    ),
    max_size=14,
)
seeds = st.integers(0, 10_000)
sizes = st.sampled_from([1, 2, 4, 8, 16, 64])


def lived_through(partitions: int, seed: int, happened: list[tuple[str, int]]) -> World:
    """Return the world after all that, at least one replica being there."""
    world = World(partitions, seed)
    world.join()
    for what, value in happened:
        match what:
            case "join" if len(world.replicas) < 8:
                world.join()
            case "die" if len(world.replicas) > 1:
                world.die(value)
            case "cut":
                world.cut(value, world.dice.uniform(0.5, 30))
            case "wait":
                world.run(value)
    return world


@given(partitions=sizes, seed=seeds, happened=happenings)
@example(partitions=4, seed=1, happened=[("wait", 12), ("join", 0)])
@example(partitions=16, seed=2, happened=[("join", 0)] * 6)
@settings(max_examples=60)
def test_after_whatever_happened_all_is_taken_shared_fairly_and_nobody_leaves_any_more(
    partitions: int, seed: int, happened: list[tuple[str, int]]
) -> None:
    world = lived_through(partitions, seed, happened)
    world.run(30 + CALM)  # the last that was cut off is back
    before = len(world.leaves)
    world.run(300)

    assert len(world.leaves) == before
    assert all(world.standing.values())
    share = fair_share(partitions, len(world.replicas))
    for replica in world.replicas:
        assert replica.greedy or len(replica.mine) <= share


@given(partitions=sizes, seed=seeds, happened=happenings)
@settings(max_examples=60)
def test_no_partition_is_without_a_consumer_for_longer_than_until_it_is_adopted(
    partitions: int, seed: int, happened: list[tuple[str, int]]
) -> None:
    """Given replicas that are never all away: those that look see it, and take it."""
    world = lived_through(partitions, seed, [one for one in happened if one[0] != "cut"])
    world.run(CALM)

    assert world.longest_alone <= SEEN_AND_TAKEN


@given(partitions=sizes, seed=seeds, before=st.integers(1, 8), joining=st.integers(1, 8))
@settings(max_examples=60)
def test_when_replicas_join_each_of_the_others_leaves_a_few_times_at_most(
    partitions: int, seed: int, before: int, joining: int
) -> None:
    world = lived_through(partitions, seed, [("join", 0)] * (before - 1))
    world.run(CALM)
    leaves = len(world.leaves)
    for _ in range(joining):
        world.join()
    world.run(120 + CALM)

    assert len(world.leaves) - leaves <= 8 * (before + joining)
    before_rest = len(world.leaves)
    world.run(300)
    assert len(world.leaves) == before_rest
