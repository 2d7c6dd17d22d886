"""What the arguments of `@source` say about when, and how it says no to others."""

from typing import Any

import pytest

from common.errors import ConfigError
from common.event import Event
from producer.cron import Cron
from producer.schedule import Every
from producer.source import Source, build_sources, declarations_of, source
from producer.ticks import SKIP, Missed, Timing


def read(**arguments: Any) -> Source:
    """The source that these arguments make of a plain function."""

    def plain() -> Event:
        return Event("a")

    (found,) = build_sources(declarations_of(source(name="shop.prices", **arguments)(plain)))
    return found


@pytest.mark.parametrize(
    ("arguments", "timing", "text"),
    [
        (
            {"every": "5s"},
            Timing(Every(5_000_000), SKIP, 0, "shop.prices"),
            "shop.prices (every 5s)",
        ),
        (
            {"every": "1m", "offset": "15s", "jitter": "30s", "missed": "once"},
            Timing(Every(60_000_000, 15_000_000), Missed("once"), 30_000_000, "shop.prices"),
            "shop.prices (every 1m at 15s, jitter 30s, missed once)",
        ),
        (
            {"cron": "*/5 * * * *"},
            Timing(Cron("*/5 * * * *", "UTC"), SKIP, 0, "shop.prices"),
            "shop.prices (cron */5 * * * * UTC)",
        ),
        (
            {
                "cron": "30 2 * * *",
                "timezone": "Europe/Berlin",
                "jitter": "1h",
                "missed": "catch_up(7)",
            },
            Timing(
                Cron("30 2 * * *", "Europe/Berlin"),
                Missed("catch_up", 7),
                3_600_000_000,
                "shop.prices",
            ),
            "shop.prices (cron 30 2 * * * Europe/Berlin, jitter 1h, missed catch_up(7))",
        ),
    ],
    ids=["every", "every with all", "cron", "cron with all"],
)
def test_the_arguments_say_when_a_source_is_called(
    arguments: dict[str, Any], timing: Timing, text: str
) -> None:
    found = read(**arguments)

    assert found.timing == timing
    assert str(found) == text


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"every": "5s", "cron": "* * * * *"}, "every= and cron= are two schedules; write one"),
        ({"every": "5s", "timezone": "UTC"}, r"timezone='UTC' goes with cron=; .* with offset="),
        ({"cron": "* * * * *", "offset": "5s"}, r"offset='5s' goes with every=; .* the minute in"),
        ({"timezone": "UTC"}, 'timezone=.*: a stream has no ticks; add every="5s" or cron='),
        ({"offset": "5s"}, r"offset=.*: a stream has no ticks; .* leave offset out"),
        ({"jitter": "5s"}, "jitter=.*: a stream has no ticks"),
        ({"missed": "catch_up(3)"}, "missed=.*: a stream has no ticks"),
        ({"every": "5s", "offset": "5s"}, r"every='5s', offset='5s': an offset of 5s shifts"),
        ({"every": "5s", "offset": "x"}, "every='5s', offset='x': 'x' is not a duration"),
        ({"every": "5s", "jitter": "x"}, "jitter='x': 'x' is not a duration"),
        ({"every": "5s", "jitter": "3s"}, "jitter='3s' is more than half .*; write 2.5s or less"),
        ({"cron": "* * * * *", "jitter": "2h"}, "jitter='2h' is more than an hour; write 1h or"),
        ({"every": "5s", "missed": "all"}, "missed='all': 'all' is not known; write skip, once"),
        ({"cron": "61 * * * *"}, r"cron='61 \* \* \* \*': minute must be 0-59; five fields"),
        ({"cron": "0 0 30 2 *"}, "cron='0 0 30 2 .*': no such day ever comes"),
        ({"cron": "0 2 * * *", "timezone": "Berlin"}, "timezone='Berlin' is not known here"),
        ({"cron": 5}, "cron=5: 1 fields; write five fields"),
        ({"every": "5s", "priority": 32}, "priority=32; write a whole number from 0 to 31"),
        ({"every": "5s", "priority": -1}, "priority=-1; write"),
        ({"every": "5s", "priority": True}, "priority=True; write"),
        ({"every": "5s", "priority": "5"}, "priority='5'; write"),
    ],
)
def test_arguments_that_make_no_sense_are_told_at_the_function_with_what_is_right(
    arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=rf"\.py:\d+: @source: {problem}"):
        read(**arguments)


def test_a_source_gives_its_events_a_priority_only_when_it_has_one() -> None:
    assert read(every="5s").priority is None
    assert (read(every="5s", priority=0).priority, read(every=5, priority=31).priority) == (0, 31)
