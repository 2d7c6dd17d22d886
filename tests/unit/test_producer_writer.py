"""Who stamps an event, and with what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidEvent
from common.event import Event
from common.slot import SLOT, slot_of
from producer.outbox.rows import publishing_of, row_of
from producer.schedule import Every, Tick, moment
from producer.source import Source
from producer.ticker import TICKER, tick
from producer.ticks import SKIP, Timing
from producer.writer import EventWriter

NOW_US = 1_795_521_600_123_456
TIMING = Timing(Every.read("5s"), SKIP, 0, "shop.prices")
SOURCE = Source(lambda: None, TIMING, "shop.prices", "shop.py:1")


def writer(now_us: int = NOW_US, source: str = "shop") -> EventWriter:
    return EventWriter(source, 1000, clock=lambda: now_us)


def test_two_producers_at_different_moments_make_byte_equal_events_of_a_tick() -> None:
    """A restarted producer and a second replica see the same tick at other moments."""
    due = Tick(359104320, 1_795_521_600_000_000, missed=0)
    late = Tick(359104320, 1_795_521_600_000_000, missed=12)
    one, other = writer(NOW_US), writer(NOW_US + 4_000_000)

    first = one.publishing(one.of_tick(Event("price", {"eur": 1}), SOURCE, due, 0))
    second = other.publishing(other.of_tick(Event("price", {"eur": 1}), SOURCE, late, 0))

    assert first == second
    assert b'"time":"2026-11-24T12:00:00Z"' in first.message.body
    assert b'"sequence":"00000000000359104320"' in first.message.body


def test_the_events_of_one_tick_have_ids_of_their_own() -> None:
    due = Tick(1, 5_000_000)

    ids = {writer().of_tick(Event("price"), SOURCE, due, index).id for index in range(3)}

    assert len(ids) == 3


def test_what_the_author_has_set_stays() -> None:
    due = Tick(1, 5_000_000)
    made = Event("price", id="mine", source="/mine", extensions={"sequence": "z", "region": "eu"})

    event = writer().of_tick(made, SOURCE, due, 0)

    assert (event.id, event.source, event.time) == ("mine", "/mine", due.time)
    assert event.extensions == {"sequence": "z", "region": "eu"}


def test_an_event_without_a_schedule_gets_a_random_id_and_now() -> None:
    one, other = writer().fresh(Event("order")), writer().fresh(Event("order"))

    assert one.id != other.id
    assert one.source == "shop"
    assert one.time is not None
    assert one.time.isoformat() == "2026-11-24T12:00:00.123456+00:00"
    assert "sequence" not in one.extensions


def test_an_event_is_made_complete_at_once_with_what_its_author_gave() -> None:
    made = writer().made("order", {"n": 1}, "", "", "7", {"partitionkey": "c"})
    mine = writer().made("order", None, "mine", "/mine", None, {})

    assert made.id
    assert (made.source, made.subject, made.key) == ("shop", "7", "c")
    assert made.time == moment(NOW_US)
    assert (mine.id, mine.source) == ("mine", "/mine")


@given(st.integers(0, 2**32 * 1_000_000 - 1))
def test_the_time_of_an_event_is_that_of_the_clock_to_the_microsecond(now_us: int) -> None:
    made = writer(now_us).made("order", None, "", "", None, {})

    assert made.time == moment(now_us)


def test_the_event_type_is_the_routing_key_of_the_exchange_events() -> None:
    publishing = writer().publishing(writer().fresh(Event("order.created", {"order": 7})))

    assert (publishing.exchange, publishing.routing_key) == ("events", "order.created")
    assert publishing.message.app_id == "shop"


def test_an_event_of_a_key_has_its_slot_on_every_way_it_can_take() -> None:
    """By a tick, at once, with a priority, delayed; and read back from a row of the outbox."""
    mine, due = writer(), Tick(1, 5_000_000)
    event = Event("price", subject="apples")
    ticked = mine.of_tick(event, SOURCE, due, 0)
    fresh = mine.fresh(event)

    ways = [
        mine.publishing(ticked),
        mine.publishing(fresh),
        mine.publishing(fresh, priority=7),
        mine.publishing(fresh, delay=7.5),
    ]

    for one in ways:
        assert one.message.headers == {SLOT: slot_of("apples")}
        assert publishing_of(row_of(one)) == one
    assert ways[3].exchange == "events.delay.v1.8s"
    assert not mine.publishing(mine.fresh(Event("price"))).message.headers


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (Event(""), "event type must be a non-empty string"),
        (Event("a\nb"), "holds control characters"),
        (Event("t" * 256), "longer than 255 bytes"),
        (Event("a", {"x": float("nan")}), "NaN"),
        (Event("a", {"x": object()}), "not JSON serializable: object"),
        (Event("a", {1: 2}), "cannot be written as JSON"),
        (Event("a", "x" * 1000), "over the limit of 1000"),
        (Event("a", extensions={"Big": 1}), "lower-case"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_that_cannot_be_sent_is_refused_at_once(event: Event, problem: str) -> None:
    with pytest.raises(InvalidEvent, match=problem):
        writer().publishing(writer().fresh(event))


async def test_the_built_in_ticker_counts_the_seconds() -> None:
    event = await tick(Tick(1_795_521_600, 1_795_521_600_000_000))

    assert event == Event("tidings.tick", {"name": "ticker", "tick": 1_795_521_600})
    assert TICKER.schedule == Every.read("1s")
