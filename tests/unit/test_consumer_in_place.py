"""Events that keep their places: what stays in hand, and what is remembered of it."""

import pytest

from common.deadletter import Reason
from common.history import History
from common.message import Delivery, Message
from consumer.in_place import BUGS_AT_MOST, LONGEST_HOLD, MOST_REMEMBERED, InPlace
from consumer.outcome import Dead, Done, Isolate, Outcome, Release, RetryIn
from consumer.verdict import Verdict

KEY = ("shop", "e1")
FRESH = History(exchange="events", routing_key="order.created")
ONCE = FRESH.failed(1000)
BUG = LookupError("a bug of ours")


class Channel:
    def alive(self) -> bool:
        return True

    def ack(self, tag: int) -> bool:
        raise AssertionError(tag)

    nack = reject = ack


def delivery(message_id: str | None = "e1", body: bytes = b"{}") -> Delivery:
    message = Message(body, message_id=message_id)
    return Delivery(message, "events", "a", redelivered=True, tag=1, channel=Channel())


def held(place: InPlace, history: History, key: tuple[str, str] | None = KEY) -> float | None:
    return place.hold(key, Verdict(RetryIn(4.0), history))


@pytest.mark.parametrize(
    ("skips", "outcome", "kept"),
    [
        pytest.param(False, RetryIn(1.0), True, id="a retry waits in hand"),
        pytest.param(False, RetryIn(1.0, counted=False), True, id="an uncounted one too"),
        pytest.param(True, RetryIn(1.0), False, id="with skip a retry is copied"),
        pytest.param(False, Release(), True, id="what a stop interrupts is not given back"),
        pytest.param(True, Release(), True, id="with skip neither"),
        pytest.param(False, Done(), False, id="what is handled goes"),
        pytest.param(False, Dead(Reason.REJECTED), False, id="what is dead goes"),
        pytest.param(False, Isolate(), False, id="nothing is isolated by keeping it"),
    ],
)
def test_what_stays_in_hand(*, skips: bool, outcome: Outcome, kept: bool) -> None:
    assert InPlace(skips=skips).keeps(outcome) is kept


def test_what_is_held_runs_again_after_its_delay_and_what_is_released_does_not() -> None:
    place = InPlace(skips=False)

    assert held(place, ONCE) == 4.0
    assert place.hold(KEY, Verdict(Release(), ONCE)) is None


def test_its_attempts_are_remembered_until_it_runs_again() -> None:
    place = InPlace(skips=False)
    held(place, ONCE)

    assert place.remembered(KEY, FRESH) == ONCE
    assert place.remembered(KEY, FRESH) == FRESH


def test_attempts_add_up_from_run_to_run() -> None:
    place, history = InPlace(skips=False), FRESH
    for attempt in range(1, 6):
        history = place.remembered(KEY, FRESH).failed(attempt)
        held(place, history)

    assert place.remembered(KEY, FRESH).attempts == 5


def test_another_copy_of_the_event_counts_from_what_its_message_says_and_nothing_is_left() -> None:
    place, replayed = InPlace(skips=False), FRESH.replayed()
    held(place, ONCE)

    assert place.remembered(KEY, replayed) == replayed
    assert place.remembered(KEY, FRESH) == FRESH


def test_events_of_other_sources_with_the_same_id_are_others() -> None:
    place = InPlace(skips=False)
    held(place, ONCE)

    assert place.remembered(("warehouse", "e1"), FRESH) == FRESH
    assert place.remembered(KEY, FRESH) == ONCE


def test_what_could_not_be_read_is_held_and_not_remembered() -> None:
    place = InPlace(skips=False)

    assert held(place, ONCE, key=None) == 4.0
    assert not place._histories


def test_of_too_many_the_one_that_was_held_first_is_forgotten() -> None:
    place = InPlace(skips=False)
    for number in range(MOST_REMEMBERED + 1):
        held(place, ONCE, ("shop", str(number)))

    assert len(place._histories) == MOST_REMEMBERED
    assert place.remembered(("shop", "0"), FRESH) == FRESH
    assert place.remembered(("shop", "1"), FRESH) == ONCE


def test_one_that_is_held_again_is_not_the_first_to_be_forgotten() -> None:
    place = InPlace(skips=False)
    for number in range(MOST_REMEMBERED):
        held(place, ONCE, ("shop", str(number)))
    held(place, place.remembered(("shop", "0"), FRESH).failed(2), ("shop", "0"))
    held(place, ONCE, ("shop", "new"))

    assert place.remembered(("shop", "0"), FRESH).attempts == 2
    assert place.remembered(("shop", "1"), FRESH) == FRESH


def test_bugs_of_ours_set_an_event_aside_when_there_were_too_many() -> None:
    place = InPlace(skips=False)
    for _ in range(BUGS_AT_MOST - 1):
        assert place.after_bug(delivery(), FRESH, BUG) is None

    verdict = place.after_bug(delivery(), FRESH, BUG)

    assert verdict is not None
    assert verdict.failure is not None
    assert verdict.outcome == Dead(Reason.DELIVERY_LIMIT)
    assert verdict.history == FRESH
    assert verdict.failure.error == "LookupError"
    assert verdict.failure.message == "20 times an error of Tidings itself: a bug of ours"
    assert place.after_bug(delivery(), FRESH, BUG) is None, "it counts from the beginning"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(delivery("e2"), id="another id"),
        pytest.param(delivery("e1", b"[]"), id="another body"),
        pytest.param(delivery(None), id="no id"),
    ],
)
def test_bugs_that_another_event_met_do_not_count(other: Delivery) -> None:
    place = InPlace(skips=False)
    for _ in range(BUGS_AT_MOST - 1):
        place.after_bug(delivery(), FRESH, BUG)

    assert place.after_bug(other, FRESH, BUG) is None
    assert place.after_bug(delivery(), FRESH, BUG) is not None


def test_the_bugs_of_no_more_than_so_many_events_are_counted() -> None:
    place = InPlace(skips=False)
    for number in range(MOST_REMEMBERED + 10):
        place.after_bug(delivery(str(number), b"x" * 5000), FRESH, BUG)

    assert len(place._bugs) == MOST_REMEMBERED
    assert max(map(len, place._bugs)) == 64


def test_a_hold_is_well_below_the_time_after_which_a_broker_gives_an_event_away() -> None:
    assert LONGEST_HOLD * 2 <= 1800 / 2
