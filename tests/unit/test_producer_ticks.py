"""Which ticks are made after a wait, a pause, a restart, and a clock that was set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.cron import Cron
from producer.schedule import Every, Schedule, Tick
from producer.ticks import SKIP, Missed, Timing, Wait, due_ticks, first_last

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
FIVE = Every(5 * SECOND)
NOON = 12 * HOUR


def timing(missed: str, schedule: Schedule = FIVE, jitter_us: int = 0) -> Timing:
    return Timing(schedule, Missed.read(missed), jitter_us, "shop.prices")


def ticks(first: int, last: int, missed: int = 0) -> list[Tick]:
    """The ticks of FIVE with these numbers; the first carries what was missed."""
    return [
        Tick(number, number * 5 * SECOND, missed if number == first else 0)
        for number in range(first, last + 1)
    ]


@pytest.mark.parametrize(
    ("missed", "last", "now_us", "expected"),
    [
        pytest.param("skip", 2, 14_999_999, Wait(0.000001), id="just before it is due"),
        pytest.param("skip", 2, 15_000_000, ticks(3, 3), id="at the moment it is due"),
        pytest.param("skip", 2, 15_000_001, ticks(3, 3), id="late, its time is still the grid's"),
        pytest.param("skip", 2, 19_999_999, ticks(3, 3), id="very late"),
        pytest.param("skip", 2, 20_000_000, ticks(4, 4, missed=1), id="one was missed"),
        pytest.param("once", 2, 20_000_000, ticks(4, 4, missed=1), id="once: one was missed"),
        pytest.param("catch_up(3)", 2, 20_000_000, ticks(3, 4), id="catch up: one is made up"),
        pytest.param("skip", 2, 61_000_000, ticks(12, 12, missed=9), id="many were missed"),
        pytest.param("once", 2, 61_000_000, ticks(12, 12, missed=9), id="once: the newest"),
        pytest.param(
            "catch_up(3)", 2, 61_000_000, ticks(10, 12, missed=7), id="catch up: the 3 newest"
        ),
        pytest.param("catch_up(10)", 2, 61_000_000, ticks(3, 12), id="catch up: just all"),
        pytest.param("catch_up(1)", 2, 61_000_000, ticks(12, 12, missed=9), id="catch up: one"),
        pytest.param("skip", 3, 15_000_000, Wait(5.0), id="just made"),
        pytest.param("catch_up(9)", 3, 15_000_000, Wait(5.0), id="catch up: just made"),
    ],
)
def test_what_is_due_after_a_tick(
    missed: str, last: int, now_us: int, expected: list[Tick] | Wait
) -> None:
    assert due_ticks(timing(missed), last * 5 * SECOND, now_us) == expected


NEXT = NOON // FIVE.every_us + 1
"""Number of the tick after that of noon."""


@pytest.mark.parametrize("missed", ["skip", "once", "catch_up(3)"])
@pytest.mark.parametrize(
    ("now_us", "skip_and_once", "catch_up"),
    [
        pytest.param(NOON - HOUR, Wait(3605.0), Wait(3605.0), id="set back by 1 h"),
        pytest.param(
            NOON + HOUR,
            ticks(NEXT + 719, NEXT + 719, missed=719),
            ticks(NEXT + 717, NEXT + 719, missed=717),
            id="set forward by 1 h",
        ),
        pytest.param(
            NOON + 5 * SECOND, ticks(NEXT, NEXT), ticks(NEXT, NEXT), id="suspended for 5 s"
        ),
        pytest.param(
            NOON + 11 * SECOND,
            ticks(NEXT + 1, NEXT + 1, missed=1),
            ticks(NEXT, NEXT + 1),
            id="suspended for 11 s",
        ),
    ],
)
def test_when_the_clock_jumps_after_the_tick_of_noon(
    missed: str, now_us: int, skip_and_once: list[Tick] | Wait, catch_up: list[Tick] | Wait
) -> None:
    expected = catch_up if missed.startswith("catch_up") else skip_and_once

    assert due_ticks(timing(missed), NOON, now_us) == expected


def test_a_clock_set_back_repeats_no_tick_and_waits_no_longer_than_it_takes() -> None:
    """Given a tick at noon; when the clock is set back to 11:00 and goes on from there."""
    made = [
        (now_us, found)
        for now_us in range(NOON - HOUR, NOON + 6 * SECOND, SECOND)
        if isinstance(found := due_ticks(timing("once"), NOON, now_us), list)
    ]

    # Then the next is that of 12:00:05, at 12:00:05
    assert made == [(NOON + 5 * SECOND, ticks(NEXT, NEXT))]


# --- restart ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "noted", "expected"),
    [
        pytest.param("skip", None, Wait(4.0), id="skip"),
        pytest.param("skip", NOON - 60 * SECOND, Wait(4.0), id="skip: what was is over"),
        pytest.param("once", None, Wait(4.0), id="once: never ran before"),
        pytest.param("once", NOON, Wait(4.0), id="once: nothing was missed"),
        pytest.param(
            "once", NOON - 60 * SECOND, ticks(NEXT - 1, NEXT - 1, missed=11), id="once: a minute"
        ),
        pytest.param("once", NOON + HOUR, Wait(4.0), id="once: noted by a wrong clock"),
        pytest.param("catch_up(3)", None, Wait(4.0), id="catch up: never ran before"),
        pytest.param(
            "catch_up(3)", NOON - 10 * SECOND, ticks(NEXT - 2, NEXT - 1), id="catch up: two"
        ),
        pytest.param(
            "catch_up(3)",
            NOON - 60 * SECOND,
            ticks(NEXT - 3, NEXT - 1, missed=9),
            id="catch up: the 3 newest of 12",
        ),
        pytest.param(
            "catch_up(3)",
            NOON - 11 * SECOND,
            ticks(NEXT - 3, NEXT - 1),
            id="catch up: noted under another interval",
        ),
    ],
)
def test_what_a_restart_one_second_after_noon_makes(
    missed: str, noted: int | None, expected: list[Tick] | Wait
) -> None:
    now_us = NOON + SECOND

    last = first_last(timing(missed), noted, now_us)

    assert due_ticks(timing(missed), last, now_us) == expected


def test_a_nightly_job_that_was_down_at_night_runs_once_after_the_start() -> None:
    """Given a job at 2:00 that was last made two nights ago; when it starts at noon."""
    nightly = timing("once", Cron("0 2 * * *"))
    two_nights_ago = 2 * HOUR
    now_us = 48 * HOUR + NOON

    last = first_last(nightly, two_nights_ago, now_us)

    # Then the job of this night is made, with its time, and that of the night before is given up
    assert due_ticks(nightly, last, now_us) == [Tick(50 * 3600, 50 * HOUR, missed=1)]


# --- jitter -------------------------------------------------------------------------------------


def test_a_tick_with_jitter_is_made_later_under_its_own_time_and_number() -> None:
    shaken = timing("skip", FIVE, jitter_us=2 * SECOND)
    delay_us = shaken.delay_us(15 * SECOND)

    assert 0 < delay_us < 2 * SECOND
    assert due_ticks(shaken, 10 * SECOND, 15 * SECOND) == Wait(delay_us / SECOND)
    assert due_ticks(shaken, 10 * SECOND, 15 * SECOND + delay_us) == ticks(3, 3)


def test_replicas_roll_the_same_dice_and_sources_others() -> None:
    one, replica = timing("skip", FIVE, SECOND), timing("once", FIVE, SECOND)
    other = Timing(FIVE, SKIP, SECOND, "shop.orders")
    dues = [number * 5 * SECOND for number in range(100)]

    delays = [one.delay_us(due) for due in dues]

    assert delays == [replica.delay_us(due) for due in dues]
    assert delays != [other.delay_us(due) for due in dues]
    assert len(set(delays)) > 90
    assert min(delays) < 0.1 * SECOND
    assert max(delays) > 0.9 * SECOND


def test_the_newest_tick_waits_for_its_dice_while_one_before_it_is_made() -> None:
    """Given a pause that ends between a tick's due time and the moment that its dice say."""
    shaken = timing("skip", FIVE, jitter_us=2 * SECOND)
    due_us = next(due for due in range(0, HOUR, FIVE.every_us) if shaken.delay_us(due) > SECOND)

    found = due_ticks(shaken, due_us - 15 * SECOND, due_us + SECOND)

    number = FIVE.number(due_us)
    assert found == ticks(number - 1, number - 1, missed=1)


def test_a_jitter_longer_than_the_pauses_of_a_cron_job_does_not_change_the_order() -> None:
    shaken = timing("skip", Cron("*/5 * * * *"), jitter_us=HOUR)
    dues = [number * 5 * MINUTE for number in range(200)]

    made = [due + shaken.delay_us(due) for due in dues]

    assert all(due <= at < due + 2.5 * MINUTE for due, at in zip(dues, made, strict=True))


# --- always -------------------------------------------------------------------------------------


@given(
    schedule=st.builds(Every, st.integers(10_000, 10**9)) | st.just(Cron("*/5 * * * *")),
    missed=st.sampled_from(["skip", "once", "catch_up(7)"]),
    jitter=st.sampled_from([0, 5_000]),
    start_us=st.integers(0, 2**51),
    steps=st.lists(st.integers(-(10**10), 10**10), max_size=20),
)
def test_ticks_only_go_forward_and_none_is_early_whatever_the_clock_does(
    schedule: Schedule, missed: str, jitter: int, start_us: int, steps: list[int]
) -> None:
    kept = timing(missed, schedule, jitter)
    now_us = start_us
    last = first_last(kept, None, now_us)
    for step in steps:
        now_us = max(0, now_us + step)
        match due_ticks(kept, last, now_us):
            case Wait(seconds):
                assert seconds > 0
                assert now_us + round(seconds * SECOND) <= schedule.following(last) + jitter
            case found:
                assert found
                for tick in found:
                    assert schedule.count(last, tick.due_us) == 1 + tick.missed
                    assert tick.due_us + kept.delay_us(tick.due_us) <= now_us
                    assert tick.number == schedule.number(tick.due_us)
                    last = tick.due_us


@given(every_us=st.integers(10_000, 10**9), now_us=st.integers(0, 2**51))
def test_after_the_wait_the_tick_is_due(every_us: int, now_us: int) -> None:
    schedule = Every(every_us)
    kept = timing("skip", schedule, every_us // 2)
    last = first_last(kept, None, now_us)

    wait = due_ticks(kept, last, now_us)

    assert isinstance(wait, Wait)
    found = due_ticks(kept, last, now_us + round(wait.seconds * SECOND))
    assert found == [Tick(last // every_us + 1, last + every_us)]


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["skip", "once", "catch_up(1)", "catch_up(10000)"])
def test_what_becomes_of_missed_ticks_is_said_in_a_word(text: str) -> None:
    missed = Missed.read(text)

    assert str(missed) == text
    assert missed.outlives_process == (text != "skip")


@pytest.mark.parametrize(
    "text", ["", "all", "catch_up", "catch_up()", "catch_up(0)", "catch_up(10001)", "catch_up(-1)"]
)
def test_another_word_for_missed_ticks_is_refused_with_what_is_right(text: str) -> None:
    remedy = r"write skip, once, or catch_up\(100\): the most ticks that are made up, 1 to 10000"
    with pytest.raises(ValueError, match=remedy):
        Missed.read(text)


def test_a_timing_says_what_is_not_usual() -> None:
    assert str(timing("skip")) == "every 5s"
    assert str(timing("once", FIVE, 2 * SECOND)) == "every 5s, jitter 2s, missed once"
