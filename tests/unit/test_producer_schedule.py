"""When ticks are due, and who they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.schedule import Schedule, Tick, Wait, next_tick, tick_id

SECOND = 1_000_000
FIVE = Schedule(5 * SECOND)


@pytest.mark.parametrize(
    ("written", "every_us"),
    [
        ("5s", 5 * SECOND),
        ("250ms", 250_000),
        ("1m30s", 90 * SECOND),
        (0.01, 10_000),
        (0.1, 100_000),
        (2, 2 * SECOND),
        ("366d", 366 * 86_400 * SECOND),
    ],
)
def test_an_interval_is_whole_microseconds(written: str | float, every_us: int) -> None:
    assert Schedule.every(written) == Schedule(every_us)


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("5 apples", "is not a duration; write"),
        ("", "is not a duration; write"),
        (-1, "is not a duration; write"),
        (True, "is not a duration; write"),
        (float("nan"), "is not a duration; write"),
        ("1ms", "the shortest is 10ms, make several events per tick"),
        (0, "the shortest is 10ms"),
        ("367d", "is too long; write"),
        (float("inf"), "is not a duration"),
    ],
)
def test_a_wrong_interval_is_refused_with_what_is_right(written: str | float, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Schedule.every(written)


@pytest.mark.parametrize(
    ("last", "now_us", "expected"),
    [
        pytest.param(2, 14_999_999, Wait(0.000001), id="just before it is due"),
        pytest.param(2, 15_000_000, Tick(3, 15_000_000), id="at the moment it is due"),
        pytest.param(2, 15_000_001, Tick(3, 15_000_000), id="late, its time is still the grid's"),
        pytest.param(2, 19_999_999, Tick(3, 15_000_000), id="very late"),
        pytest.param(2, 20_000_000, Tick(4, 20_000_000, missed=1), id="one was missed"),
        pytest.param(2, 61_000_000, Tick(12, 60_000_000, missed=9), id="many were missed"),
        pytest.param(3, 15_000_000, Wait(5.0), id="just made"),
        pytest.param(3, 1_000_000, Wait(19.0), id="the clock was set back"),
    ],
)
def test_the_next_tick(last: int, now_us: int, expected: Tick | Wait) -> None:
    assert next_tick(FIVE, last, now_us) == expected


def test_a_start_waits_for_the_next_place_on_the_grid() -> None:
    """A restart right after tick 3 must not make tick 3 again."""
    now_us = 16 * SECOND

    assert next_tick(FIVE, FIVE.number_at(now_us), now_us) == Wait(4.0)


def test_the_grid_does_not_drift_in_a_hundred_years() -> None:
    tenth = Schedule.every("100ms")
    century = 100 * 365 * 86_400 * 10

    assert next_tick(tenth, century - 1, century * 100_000) == Tick(century, century * 100_000)


@given(
    every_us=st.integers(10_000, 10**9),
    start_us=st.integers(0, 2**51),
    steps=st.lists(st.integers(-(10**10), 10**10), max_size=50),
)
def test_numbers_only_grow_and_nothing_is_early_whatever_the_clock_does(
    every_us: int, start_us: int, steps: list[int]
) -> None:
    schedule = Schedule(every_us)
    now_us = start_us
    last = schedule.number_at(now_us)
    for step in steps:
        now_us = max(0, now_us + step)
        match next_tick(schedule, last, now_us):
            case Tick(number, due_us, missed):
                assert number == last + 1 + missed
                assert missed >= 0
                assert due_us == number * every_us <= now_us
                last = number
            case Wait(seconds):
                assert seconds > 0
                assert now_us < (last + 1) * every_us


@given(every_us=st.integers(10_000, 10**9), now_us=st.integers(0, 2**51))
def test_after_the_wait_the_tick_is_due(every_us: int, now_us: int) -> None:
    schedule = Schedule(every_us)
    last = schedule.number_at(now_us)

    wait = next_tick(schedule, last, now_us)

    assert isinstance(wait, Wait)
    later_us = now_us + round(wait.seconds * SECOND)
    assert next_tick(schedule, last, later_us) == Tick(last + 1, (last + 1) * every_us)


def test_the_id_of_a_tick_is_the_same_for_ever() -> None:
    """Written down: a change of the algorithm would give old ticks a second identity."""
    assert tick_id("shop", "prices", FIVE, 7, 0) == "b4139602-da72-53f6-adb3-bb44100e5cbd"


@pytest.mark.parametrize(
    "other",
    [
        ("shop2", "prices", FIVE, 7, 0),
        ("shop", "prices2", FIVE, 7, 0),
        ("shop", "prices", Schedule(10 * SECOND), 7, 0),
        ("shop", "prices", FIVE, 8, 0),
        ("shop", "prices", FIVE, 7, 1),
    ],
)
def test_every_part_of_a_ticks_place_makes_another_id(
    other: tuple[str, str, Schedule, int, int],
) -> None:
    assert tick_id(*other) != tick_id("shop", "prices", FIVE, 7, 0)


def test_the_sequence_of_ticks_sorts_as_their_numbers_do() -> None:
    numbers = [0, 9, 10, 99, 10**19]

    texts = [Tick(number, 0).sequence for number in numbers]

    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {20}
