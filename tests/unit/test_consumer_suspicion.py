"""Which event is suspected of killing a process, and what becomes of a suspect: tables."""

import pytest

from consumer.failure import Cause, Failure
from consumer.outcome import Isolate, Release
from consumer.suspicion import (
    DEATHS_ALONE,
    alone,
    crashed_in_place,
    handed_back,
    returns_of,
    suspected,
    suspected_in_place,
)

NEW, OLD = (4, 3), (3, 10)


@pytest.mark.parametrize(
    ("returns", "version", "is_suspect"),
    [
        (0, NEW, False),
        (1, NEW, False),
        (2, NEW, True),
        (20, NEW, True),
        (2, OLD, False),
        (4, OLD, False),
        (5, OLD, True),
        (4, (4, 2), False),
        (5, (4, 2), True),
    ],
)
def test_what_came_back_too_often_is_suspected(
    *, returns: int, version: tuple[int, int], is_suspect: bool
) -> None:
    assert suspected(returns, version) is is_suspect


@pytest.mark.parametrize(
    ("returns", "is_suspect"), [(0, False), (1, False), (4, False), (5, True), (1000, True)]
)
def test_where_each_change_of_the_consumer_is_a_return_it_takes_five_on_every_version(
    *, returns: int, is_suspect: bool
) -> None:
    assert suspected_in_place(returns) is is_suspect


@pytest.mark.parametrize("deaths", range(DEATHS_ALONE))
def test_in_its_place_it_runs_at_once_until_three_processes_ended(deaths: int) -> None:
    assert crashed_in_place(deaths) is None


@pytest.mark.parametrize("deaths", [3, 4, 900])
def test_in_its_place_too_three_deaths_alone_are_enough(deaths: int) -> None:
    found = crashed_in_place(deaths)

    assert found is not None
    assert found.cause is Cause.CRASHED
    assert f"its process ended {deaths} times while it handled this event alone" in found.message


@pytest.mark.parametrize(
    ("deaths", "returns", "outcome"),
    [
        (0, 0, None),
        (2, 0, None),
        (0, 1, Isolate(8.0, 1)),
        (1, 1, Isolate(32.0, 2)),
        (0, 2, Isolate(32.0, 2)),
    ],
)
def test_a_suspect_runs_unless_it_came_back_then_it_waits(
    deaths: int, returns: int, outcome: Isolate | None
) -> None:
    assert alone(deaths, returns) == outcome


@pytest.mark.parametrize(("deaths", "returns"), [(2, 1), (0, 3), (1, 2), (2, 900)])
def test_three_deaths_alone_are_enough(deaths: int, returns: int) -> None:
    found = alone(deaths, returns)

    assert isinstance(found, Failure)
    assert found.cause is Cause.CRASHED
    assert f"{deaths + returns} times" in found.message


def test_a_stop_does_not_count_as_a_death() -> None:
    assert handed_back(1, NEW) == Release()
    assert handed_back(1, OLD) == Isolate(0.0, 1)


@pytest.mark.parametrize(
    ("count", "redelivered", "returns"),
    [
        (99, False, 0),  # a sender wrote it: on 4.3 the first delivery carries that
        (None, True, 0),
        (0, True, 1),
        (3, True, 3),
        ("abc", True, 1),
        (True, True, 1),
        (10**9, True, 1),
        (-1, True, 1),
    ],
)
def test_the_brokers_count_is_believed_only_where_it_can_be(
    *, count: object, redelivered: bool, returns: int
) -> None:
    assert returns_of(count, redelivered=redelivered) == returns
