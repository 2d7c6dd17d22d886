"""Which partitions a replica takes, look by look: tables."""

from collections.abc import Iterable

import pytest

from consumer.shares import ADOPT_SECONDS, AWAY_SECONDS, Share, Shares, fair_share

P4 = ("p0", "p1", "p2", "p3")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def free(*names: str, taken: Iterable[str] = ()) -> dict[str, int]:
    return dict.fromkeys(names, 0) | dict.fromkeys(taken, 1)


def adopted(shares: Shares, clock: Clock, replicas: int) -> set[str]:
    """Let `shares` take its two of four, and then, one a look, those that nobody takes."""
    assert shares.look(set(), free(*P4), replicas) == Share(take=("p0", "p1"))
    clock.now += ADOPT_SECONDS
    assert shares.look({"p0", "p1"}, free("p2", "p3"), replicas) == Share(take=("p2",))
    assert shares.look({"p0", "p1", "p2"}, free("p3"), replicas) == Share(take=("p3",))
    return set(P4)


@pytest.mark.parametrize(
    ("partitions", "replicas", "share"),
    [
        pytest.param(16, 1, 16, id="all for the only one"),
        pytest.param(16, 2, 8, id="halves"),
        pytest.param(16, 3, 6, id="what does not divide is rounded up"),
        pytest.param(16, 16, 1, id="one each"),
        pytest.param(16, 40, 1, id="one, where some have nothing to do"),
        pytest.param(1, 2, 1, id="the only partition"),
        pytest.param(4, 0, 4, id="not even this replica is counted yet"),
    ],
)
def test_a_fair_share_is_rounded_up(partitions: int, replicas: int, share: int) -> None:
    assert fair_share(partitions, replicas) == share


@pytest.mark.parametrize(
    ("start", "mine", "consumers", "replicas", "take"),
    [
        pytest.param(0, set(), free(*P4), 1, P4, id="alone it takes all"),
        pytest.param(0, set(), free(*P4), 2, ("p0", "p1"), id="of two it takes half"),
        pytest.param(3, set(), free(*P4), 2, ("p3", "p0"), id="it begins at its start, and around"),
        pytest.param(7, set(), free(*P4), 2, ("p3", "p0"), id="the start may be any number"),
        pytest.param(0, set(), free(*P4), 3, ("p0", "p1"), id="of three it takes two of four"),
        pytest.param(0, set(), free(*P4), 9, ("p0",), id="one, among more than there are"),
        pytest.param(0, {"p2"}, free("p0", "p1", "p3"), 2, ("p0",), id="as many as it lacks"),
        pytest.param(0, {"p0", "p1"}, free("p2", "p3"), 2, (), id="no more than its share"),
        pytest.param(
            0, set(), free("p2", taken=("p0", "p1", "p3")), 2, ("p2",), id="only what is free"
        ),
        pytest.param(0, set(), {"p1": 0}, 1, ("p1",), id="what was not looked at counts as taken"),
        pytest.param(0, set(P4), {}, 1, (), id="all are its own"),
    ],
)
def test_it_takes_what_nobody_has_up_to_its_share(
    *,
    start: int,
    mine: set[str],
    consumers: dict[str, int],
    replicas: int,
    take: tuple[str, ...],
    clock: Clock,
) -> None:
    assert Shares(P4, clock, start).look(mine, consumers, replicas) == Share(take=take)


def test_one_that_has_more_than_its_share_leaves_at_once_and_takes_less_when_it_is_back(
    clock: Clock,
) -> None:
    shares = Shares(P4, clock, 0)
    assert shares.look(set(), free(*P4), 1).take == P4
    clock.now += 2

    assert shares.look(set(P4), {}, 2) == Share(leave=True)

    clock.now += 0.5
    shares.anew()
    assert shares.look(set(), free(*P4), 2) == Share(take=("p0", "p1"))


def test_without_partitions_there_is_nothing_to_do(clock: Clock) -> None:
    assert Shares((), clock, 5).look(set(), {}, 3) == Share()


def test_a_partition_that_nobody_takes_is_adopted_from_the_very_second_on(clock: Clock) -> None:
    shares = Shares(P4, clock, 0)
    mine = {"p0", "p1"}
    assert shares.look(mine, free("p2", taken=("p3",)), 2) == Share()
    clock.now += ADOPT_SECONDS - 0.1
    assert shares.look(mine, free("p2", taken=("p3",)), 2) == Share()
    clock.now += 0.1

    assert shares.look(mine, free("p2", taken=("p3",)), 2) == Share(take=("p2",))


def test_one_that_was_taken_between_two_looks_is_not_adopted_for_its_first_time(
    clock: Clock,
) -> None:
    shares, mine = Shares(P4, clock, 0), {"p0", "p1"}
    shares.look(mine, free("p2", taken=("p3",)), 2)
    clock.now += ADOPT_SECONDS / 2
    shares.look(mine, free(taken=("p2", "p3")), 2)
    clock.now += ADOPT_SECONDS / 2
    shares.look(mine, free("p2", taken=("p3",)), 2)
    clock.now += ADOPT_SECONDS - 0.1

    assert shares.look(mine, free("p2", taken=("p3",)), 2) == Share()


def test_one_that_was_free_before_this_replica_left_is_not_adopted_the_moment_it_is_back(
    clock: Clock,
) -> None:
    shares = Shares(P4, clock, 0)
    assert shares.look({"p0", "p1", "p2"}, free("p3"), 1) == Share(take=("p3",))
    clock.now += 2
    assert shares.look({"p0", "p1", "p2"}, free("p3"), 2) == Share(leave=True)
    clock.now += ADOPT_SECONDS + 1
    shares.anew()

    assert shares.look(set(), free("p2", "p3", taken=("p0", "p1")), 4) == Share(take=("p2",))


def test_what_is_adopted_is_kept_while_the_replicas_stay_the_same(clock: Clock) -> None:
    shares = Shares(P4, clock, 0)
    mine = adopted(shares, clock, 2)

    for _ in range(100):
        clock.now += 2
        assert shares.look(mine, {}, 2) == Share()


@pytest.mark.parametrize("replicas", [3, 4])
def test_what_is_adopted_is_given_up_when_another_replica_comes(
    clock: Clock, replicas: int
) -> None:
    shares = Shares(P4, clock, 0)
    mine = adopted(shares, clock, 2)
    clock.now += 2

    assert shares.look(mine, {}, replicas) == Share(leave=True)


def test_when_the_others_are_gone_nothing_is_given_up(clock: Clock) -> None:
    shares = Shares(P4, clock, 0)
    mine = adopted(shares, clock, 2)
    clock.now += AWAY_SECONDS + 1

    assert shares.look(mine, {}, 1) == Share()


def test_one_that_is_away_for_a_moment_still_counts(clock: Clock) -> None:
    shares, mine = Shares(P4, clock, 0), {"p0", "p1"}
    assert shares.look(mine, free(taken=("p2", "p3")), 2) == Share()
    clock.now += AWAY_SECONDS
    assert shares.look(mine, free("p2", "p3"), 1) == Share()
    clock.now += 0.1

    assert shares.look(mine, free("p2", "p3"), 1) == Share(take=("p2", "p3"))


def test_no_more_is_remembered_than_what_was_lately_seen(clock: Clock) -> None:
    shares = Shares(P4, clock, 0)
    for number in range(10_000):
        clock.now += 0.5
        shares.look({"p0"}, free("p1", taken=("p2", "p3")), 4 + number % 2)

    assert len(shares._seen) <= AWAY_SECONDS / 0.5 + 1
    assert len(shares._alone_since) <= len(P4)
