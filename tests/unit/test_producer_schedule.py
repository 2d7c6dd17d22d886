"""Where ticks lie on the grid of an interval, and who they are."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.event import Event
from producer.cron import Cron
from producer.schedule import Every, Schedule, Tick, tick_id
from producer.source import Source
from producer.ticks import SKIP, Timing, due_ticks
from producer.writer import EventWriter

SECOND = 1_000_000
FIVE = Every(5 * SECOND)
SHIFTED = Every(60 * SECOND, 15 * SECOND)


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
    assert Every.read(written) == Every(every_us)


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
        Every.read(written)


@pytest.mark.parametrize(
    ("every", "offset", "remedy"),
    [
        ("5s", "5s", "an offset of 5s shifts .* an interval or more; write one .* shorter than 5s"),
        ("5s", "1h", "an offset of 1h shifts"),
        ("1h", "1 apple", "is not a duration; write"),
        ("1h", -1, "is not a duration; write"),
    ],
)
def test_a_wrong_offset_is_refused_with_what_is_right(
    every: str, offset: str | float, remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        Every.read(every, offset=offset)


@pytest.mark.parametrize(
    ("schedule", "now_us", "newest_us", "number"),
    [
        pytest.param(FIVE, 14_999_999, 10 * SECOND, 2, id="just before a tick"),
        pytest.param(FIVE, 15_000_000, 15 * SECOND, 3, id="at a tick"),
        pytest.param(FIVE, 15_000_001, 15 * SECOND, 3, id="just after a tick"),
        pytest.param(SHIFTED, 74_999_999, 15 * SECOND, 0, id="before a shifted tick"),
        pytest.param(SHIFTED, 75_000_000, 75 * SECOND, 1, id="at a shifted tick"),
        pytest.param(SHIFTED, 14_999_999, -45 * SECOND, -1, id="before the first shifted tick"),
    ],
)
def test_ticks_lie_at_multiples_of_the_interval_shifted_by_the_offset(
    schedule: Every, now_us: int, newest_us: int, number: int
) -> None:
    assert schedule.newest(now_us) == newest_us
    assert schedule.number(newest_us) == number
    assert schedule.following(now_us) == newest_us + schedule.every_us


def test_the_grid_does_not_drift_in_a_hundred_years() -> None:
    tenth = Every.read("100ms")
    century = 100 * 365 * 86_400 * 10

    assert tenth.following((century - 1) * 100_000) == century * 100_000
    assert tenth.number(century * 100_000) == century


@given(
    every_us=st.integers(10_000, 10**9),
    shift=st.floats(0, 0.999),
    now_us=st.integers(0, 2**51),
    steps=st.integers(0, 10_000),
)
def test_the_grid_is_one_seen_from_anywhere(
    every_us: int, shift: float, now_us: int, steps: int
) -> None:
    schedule = Every(every_us, int(every_us * shift))
    newest = schedule.newest(now_us)

    assert newest <= now_us < schedule.following(now_us) == schedule.following(newest)
    assert schedule.preceding(schedule.following(newest)) == newest
    assert schedule.following(schedule.preceding(newest)) == newest
    assert schedule.number(schedule.following(newest)) == schedule.number(newest) + 1
    assert schedule.count(now_us, now_us + steps * every_us) == steps
    assert schedule.count(now_us, now_us - 1) == 0


def test_a_schedule_says_itself() -> None:
    assert (str(FIVE), str(SHIFTED)) == ("every 5s", "every 1m at 15s")


# --- who a tick is ------------------------------------------------------------------------------


def test_the_id_of_a_tick_is_the_same_for_ever() -> None:
    """Written down: a change of the algorithm would give old ticks a second identity."""
    assert tick_id("shop", "prices", FIVE, 7, 0) == "b4139602-da72-53f6-adb3-bb44100e5cbd"
    assert tick_id("shop", "prices", SHIFTED, 7, 0) == "668ebb05-0044-57a4-a5fc-53e95e0d32f0"
    cron = Cron("* * * * *")
    assert tick_id("shop", "prices", cron, 420, 0) == "a8e789a5-f4db-5c88-90e3-ada674759dd2"


@pytest.mark.parametrize(
    "other",
    [
        ("shop2", "prices", FIVE, 7, 0),
        ("shop", "prices2", FIVE, 7, 0),
        ("shop", "prices", Every(10 * SECOND), 7, 0),
        ("shop", "prices", Every(5 * SECOND, SECOND), 7, 0),
        ("shop", "prices", Cron("* * * * *"), 7, 0),
        ("shop", "prices", FIVE, 8, 0),
        ("shop", "prices", FIVE, 7, 1),
    ],
)
def test_every_part_of_a_ticks_place_makes_another_id(
    other: tuple[str, str, Schedule, int, int],
) -> None:
    assert tick_id(*other) != tick_id("shop", "prices", FIVE, 7, 0)


@pytest.mark.parametrize("schedule", [FIVE, SHIFTED, Cron("* * * * *", "Europe/Berlin")], ids=str)
def test_two_replicas_make_the_same_bytes_for_one_tick(schedule: Schedule) -> None:
    """Given one that was there all the time, and one that has slept through three ticks."""
    timing = Timing(schedule, SKIP, 0, "shop.prices")
    source = Source(lambda: None, timing, "shop.prices", "shop.py:1")
    now_us = 1_795_521_612_345_678
    due_us = schedule.newest(now_us)
    asleep_us = schedule.preceding(schedule.preceding(schedule.preceding(due_us)))

    made = []
    for last, at_us in [(schedule.preceding(due_us), due_us), (asleep_us, now_us)]:
        # When each makes the tick, at its own moment
        found = due_ticks(timing, last, at_us)
        assert isinstance(found, list)
        writer = EventWriter("shop", 1000, clock=partial(int, at_us))
        event = writer.of_tick(Event("price", {"eur": 1}), source, found[-1], 0)
        made.append(writer.publishing(event))

    # Then an inbox cannot tell the one from the other
    assert made[0] == made[1]


def test_the_sequence_of_ticks_sorts_as_their_numbers_do() -> None:
    numbers = [0, 9, 10, 99, 10**19]

    texts = [Tick(number, 0).sequence for number in numbers]

    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {20}
