"""When a cron expression is due, also where clocks are changed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.cron import Cron
from producer.schedule import COUNTED, EPOCH, SECOND_US, moment
from producer.ticks import Missed, Timing, due_ticks

HOUR = 3600 * SECOND_US
DAY = 24 * HOUR

# Clocks in Berlin go from 2:00 to 3:00 at 1:00 UTC on the one day, from 3:00 to 2:00 at 1:00 UTC
# on the other.
SPRING = (2026, 3, 29)
AUTUMN = (2026, 10, 25)


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """Microseconds since the epoch of a moment in UTC."""
    at = datetime(year, month, day, hour, minute, tzinfo=UTC)
    return (at - EPOCH) // timedelta(microseconds=1)


YEAR_US = us(2026, 1, 1)


def due_between(cron: Cron, after_us: int, until_us: int) -> list[str]:
    """What is due after the one moment and not after the other, in UTC."""
    found = []
    while (after_us := cron.following(after_us)) <= until_us:
        found.append(f"{moment(after_us):%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "now", "expected"),
    [
        pytest.param("*/5 * * * *", "UTC", (2026, 1, 1, 0, 7), "01-01 00:10", id="each 5 minutes"),
        pytest.param(
            "0 9 * * MON-FRI", "UTC", (2026, 1, 2, 9, 0), "01-05 09:00", id="after weekend"
        ),
        pytest.param(
            "0 9 * * *", "Asia/Tokyo", (2026, 1, 1, 0, 0), "01-02 00:00", id="in its zone"
        ),
        pytest.param("0 0 L * *", "UTC", (2026, 2, 1, 0, 0), "02-28 00:00", id="last of the month"),
        pytest.param("0 0 * * FRI#2", "UTC", (2026, 1, 1, 0, 0), "01-09 00:00", id="second Friday"),
        pytest.param("0 0 13 * FRI", "UTC", (2026, 1, 1, 0, 0), "01-02 00:00", id="day or weekday"),
        pytest.param("0 0 29 2 *", "UTC", (2028, 1, 1, 0, 0), "02-29 00:00", id="leap days"),
    ],
)
def test_a_tick_is_due_at_the_next_time_of_the_expression_in_its_zone(
    expression: str, zone: str, now: tuple[int, int, int, int, int], expected: str
) -> None:
    due_us = Cron(expression, zone).following(us(*now))

    assert f"{moment(due_us):%m-%d %H:%M}" == expected


def test_the_newest_tick_is_that_of_this_very_moment_or_before() -> None:
    cron = Cron("*/5 * * * *")
    due_us = us(2026, 1, 1, 0, 5)

    assert cron.newest(due_us) == due_us
    assert cron.newest(due_us + 1) == due_us
    assert cron.newest(due_us - 1) == due_us - 300 * SECOND_US


def test_a_tick_is_named_by_its_moment_whatever_the_expression() -> None:
    often, seldom = Cron("*/5 * * * *"), Cron("0 2 * * *", "Europe/Berlin")
    due_us = us(2026, 1, 1, 1)

    assert often.newest(due_us) == seldom.newest(due_us) == due_us
    assert often.number(due_us) == seldom.number(due_us) == due_us // SECOND_US
    assert (often.identity, seldom.identity) == ("cron", "cron")
    assert str(seldom) == "cron 0 2 * * * Europe/Berlin"


@pytest.mark.parametrize(
    ("expression", "day", "expected"),
    [
        pytest.param("30 2 * * *", SPRING, ["03-29 01:00"], id="2:30 comes not: at 3:00"),
        pytest.param("30 2 * * *", AUTUMN, ["10-25 00:30"], id="2:30 comes twice: the first"),
        pytest.param("0 3 * * *", SPRING, ["03-29 01:00"], id="3:00 in spring"),
        pytest.param("0 3 * * *", AUTUMN, ["10-25 02:00"], id="3:00 in autumn"),
        pytest.param("15,45 2 * * *", SPRING, ["03-29 01:00"], id="both of the gap at once"),
        pytest.param("*/30 2 * * *", SPRING, [], id="minute with a star: follows the clock"),
        pytest.param(
            "*/30 2 * * *",
            AUTUMN,
            ["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30"],
            id="minute with a star: in both hours",
        ),
    ],
)
def test_a_daily_job_in_berlin_runs_once_on_the_days_when_clocks_are_changed(
    expression: str, day: tuple[int, int, int], expected: list[str]
) -> None:
    midnight_us = us(*day)

    # Given a whole local day, the 29th in spring and the 25th in autumn
    found = due_between(Cron(expression, "Europe/Berlin"), midnight_us - HOUR, midnight_us + DAY)

    assert [due for due in found if due.startswith(f"{day[1]:02}-{day[2]:02}")] == expected


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("expression", ["0 * * * *", "0 */1 * * *", "17 * * * *"])
def test_an_hourly_job_runs_each_hour_through_the_change(
    expression: str, day: tuple[int, int, int]
) -> None:
    cron = Cron(expression, "Europe/Berlin")
    first_us = cron.following(us(*day) - 6 * HOUR)

    dues = [first_us]
    for _ in range(24):
        dues.append(cron.following(dues[-1]))

    assert dues == [first_us + index * HOUR for index in range(25)]


@pytest.mark.parametrize("expression", ["*/27 */3 * * *", "0 */2 * * *"])
@pytest.mark.parametrize("month", [4, 9])
def test_where_clocks_are_changed_at_a_quarter_to_a_job_that_follows_them_goes_on(
    expression: str, month: int
) -> None:
    """The library alone never returns from there (cronsim 2.8, the change of a Chatham clock)."""
    cron = Cron(expression, "Pacific/Chatham")
    after_us = us(2026, month, 1)

    dues = [after_us := cron.following(after_us) for _ in range(500)]

    assert all(before < after for before, after in pairwise(dues))
    assert [cron.preceding(due) for due in dues[1:]] == dues[:-1]


@pytest.mark.parametrize("minute", range(0, 60, 10))
def test_a_producer_that_starts_in_the_hour_that_comes_twice_does_not_repeat_the_job(
    minute: int,
) -> None:
    """The local clock says the same in both hours; which of them it is decides."""
    cron = Cron("30 2 * * *", "Europe/Berlin")
    second_hour_us = us(*AUTUMN, 1, minute)

    assert cron.newest(second_hour_us) == us(*AUTUMN, 0, 30)
    assert cron.following(second_hour_us) == us(2026, 10, 26, 1, 30)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "0 * * * *", "0 */6 * * *", "*/20 1-3 * * SUN", "0 0 L * *"]
)
def test_a_year_forwards_is_the_same_year_backwards(expression: str, zone: str) -> None:
    cron = Cron(expression, zone)
    dues = [cron.following(YEAR_US)]
    while dues[-1] < YEAR_US + 366 * DAY:
        dues.append(cron.following(dues[-1]))

    assert all(before < after for before, after in pairwise(dues))
    for before, after in pairwise(dues):
        assert cron.preceding(after) == before
        assert cron.newest(after - 1) == before


@settings(deadline=None)
@given(
    expression=st.sampled_from(
        ["30 2 * * *", "*/15 * * * *", "0 */2 * * *", "5 0,23 * * *", "0 2 29 2 *"]
    ),
    zone=st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]
    ),
    now_us=st.integers(YEAR_US, YEAR_US + 5 * 366 * DAY),
)
def test_before_and_after_any_moment_the_grid_is_one(
    expression: str, zone: str, now_us: int
) -> None:
    cron = Cron(expression, zone)
    newest, following = cron.newest(now_us), cron.following(now_us)

    assert newest <= now_us < following
    assert cron.following(newest) == following
    assert cron.preceding(following) == newest
    assert cron.following(cron.preceding(newest)) == newest
    assert cron.count(newest, following) == 1


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("61 * * * *", "minute must be 0-59; five fields: minute hour day month weekday"),
        ("* 24 * * *", "hour must be 0-23; five fields"),
        ("0 0 0 * *", "day must be 1-31, or L"),
        ("0 0 1 13 *", "month must be 1-12 or JAN-DEC"),
        ("0 0 * * 8", "weekday must be 0-7 or SUN-SAT"),
        ("*/0 * * * *", "minute must be"),
        ("9-5 * * * *", "minute must be"),
        ("a * * * *", "minute must be"),
        ("", "0 fields; write five fields: minute hour"),
        ("@daily", r"1 fields; write five fields.*'\*/5 \* \* \* \*'"),
        ("*/10 * * * * *", '6 fields; .* for seconds write every="10s" instead'),
        ("0 0 30 2 *", "no such day ever comes; for the last of a month write L"),
        ("0 0 31 4,6 *", "no such day ever comes"),
        ("0 0 */20 * 1L", "no such day ever comes"),
    ],
)
def test_a_wrong_expression_is_refused_with_what_is_right(expression: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"cron=.*: {problem}"):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Berlin", "", "../etc/passwd", "Europe", "CEST", "+01:00"])
def test_an_unknown_zone_is_refused_with_an_example(zone: str) -> None:
    with pytest.raises(ValueError, match=r"timezone='.*'Europe/Berlin'.*the package tzdata"):
        Cron("0 2 * * *", zone)


def test_a_long_pause_of_a_frequent_job_is_not_counted_to_its_end() -> None:
    """Counting goes from tick to tick; a year of minutes would hold up the loop for seconds."""
    timing = Timing(Cron("* * * * *"), Missed.read("catch_up(2)"), 0, "shop.prices")

    # When it wakes after a year
    found = due_ticks(timing, YEAR_US, YEAR_US + 365 * DAY)

    # Then the newest are made, and at least so many were missed
    assert isinstance(found, list)
    assert [tick.due_us for tick in found] == [
        YEAR_US + 365 * DAY - 60 * SECOND_US,
        YEAR_US + 365 * DAY,
    ]
    assert [tick.missed for tick in found] == [COUNTED - 1, 0]
