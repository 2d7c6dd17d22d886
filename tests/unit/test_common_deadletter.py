"""The record of a dead letter, written into headers and read back; and the history before it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.deadletter import DeadLetter, clipped
from common.history import KEPT_TIMES, History
from common.message import Delivery, HeaderValue, Message


class _NoChannel:
    def alive(self) -> bool:
        return True

    def ack(self, tag: int) -> bool:
        return True

    def nack(self, tag: int) -> bool:
        return True

    def reject(self, tag: int) -> bool:
        return True


def delivery(
    headers: dict[str, HeaderValue], *, id_: str | None = None, type_: str | None = None
) -> Delivery:
    return Delivery(
        Message(b"{}", headers=headers, message_id=id_, type=type_),
        exchange="events",
        routing_key="order.created",
        redelivered=False,
        tag=1,
        channel=_NoChannel(),
    )


HISTORY = History(
    attempts=3,
    hop=5,
    first_failed_ms=1000,
    attempt_times_ms=(1000, 2000, 6000),
    snoozed_ms=500,
    waiting_since_ms=7,
    exchange="events",
    routing_key="order.created",
    replays=1,
)
RECORD = DeadLetter(
    reason="attempts_spent",
    id="7",
    type="order.created",
    source="/shop",
    error="ValueError",
    message="card declined",
    traceback="Traceback …",
    attempts=3,
    attempt_times_ms=(1000, 2000, 6000),
    first_failed_ms=1000,
    last_failed_ms=6000,
    handler="shop.handlers.charge",
    group="billing",
    host="pod-1",
    history=HISTORY,
)


def test_a_record_is_read_back_as_it_was_written() -> None:
    assert DeadLetter.of(delivery(dict(RECORD.headers()))) == RECORD


def test_the_headers_are_strings_and_integers_and_below_16_kib() -> None:
    long = "é" * 100_000
    headers = replace(
        RECORD,
        id=long,
        type=long,
        source=long,
        error=long,
        message=long,
        traceback=long,
        handler=long,
        history=HISTORY._replace(attempt_times_ms=(10**13,) * KEPT_TIMES),
    ).headers()

    assert all(isinstance(value, str | int) for value in headers.values())
    assert sum(len(k) + len(str(v).encode()) + 8 for k, v in headers.items()) < 16 * 1024


def test_a_dead_letter_of_the_broker_looks_like_ours() -> None:
    found = DeadLetter.of(
        delivery(
            {
                "x-death": [
                    {
                        "reason": "delivery_limit",
                        "queue": "billing",
                        "exchange": "events",
                        "routing-keys": ["order.created"],
                    }
                ]
            },
            id_="7",
            type_="order.created",
        )
    )

    assert (found.reason, found.group, found.id, found.type) == (
        "delivery_limit",
        "billing",
        "7",
        "order.created",
    )
    assert (found.history.exchange, found.history.routing_key) == ("events", "order.created")


@pytest.mark.parametrize(
    "headers", [{}, {"x-death": "forged"}, {"x-death": [7]}, {"x-death": [{"routing-keys": []}]}]
)
def test_a_message_somebody_else_put_there_is_read_without_harm(
    headers: dict[str, HeaderValue],
) -> None:
    assert DeadLetter.of(delivery(headers)).reason == "unknown"


def test_a_history_is_read_back_as_it_was_written() -> None:
    assert History.of(delivery(dict(HISTORY.headers()))) == HISTORY


def test_a_first_delivery_has_no_history_but_where_it_came_from() -> None:
    assert History.of(delivery({})) == History(exchange="events", routing_key="order.created")


@given(
    st.dictionaries(
        st.sampled_from(list(HISTORY.headers())),
        st.none() | st.booleans() | st.text() | st.integers() | st.binary() | st.lists(st.text()),
    )
)
def test_forged_headers_never_raise_and_never_count_below_zero(
    headers: dict[str, HeaderValue],
) -> None:
    found = History.of(delivery(headers))

    assert found.attempts >= 0
    assert found.age(0) >= 0


def test_a_failure_counts_and_keeps_the_first_time() -> None:
    twice = History().failed(1000).failed(5000)

    assert (twice.attempts, twice.first_failed_ms, twice.attempt_times_ms) == (
        2,
        1000,
        (1000, 5000),
    )
    assert twice.age(now_ms=61_000) == 60.0


def test_only_the_last_times_are_kept_but_all_attempts_are_counted() -> None:
    history = History()
    for number in range(100):
        history = history.failed(number + 1)

    assert history.attempts == 100
    assert len(history.attempt_times_ms) == KEPT_TIMES


def test_a_replay_starts_afresh_and_is_a_new_copy() -> None:
    again = HISTORY.replayed()

    assert again == History(hop=6, exchange="events", routing_key="order.created", replays=2)


def test_a_text_is_cut_in_the_middle_and_stays_valid() -> None:
    cut = clipped("ä" * 5000, 100)

    assert len(cut.encode()) <= 100
    assert cut.startswith("ä")
    assert cut.endswith("ä")
    assert clipped("\ud800") == "\\ud800"
