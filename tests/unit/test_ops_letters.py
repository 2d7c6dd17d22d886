"""Filters, rows and counts of letters."""

import pytest

from common.deadletter import DeadLetter
from common.event import CONTENT_TYPE
from common.message import Message
from ops.letters.letter import Kinds, Letter, Wanted, dead_letter, unrouted_letter
from support.shelves import delivered, letter


def row(**given: object) -> Letter:
    values = {"id": "e1", "type": "order.created", "source": "/shop", "reason": "rejected", **given}
    return Letter(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "picked"),
    [
        (Wanted(), True),
        (Wanted(ids=frozenset({"e1", "e2"})), True),
        (Wanted(ids=frozenset({"e2"})), False),
        (Wanted(type="order.created"), True),
        (Wanted(type="order.*"), True),
        (Wanted(type="order"), False),
        (Wanted(type="Order.created"), False),
        (Wanted(reason="rejected"), True),
        (Wanted(reason="expired"), False),
        (Wanted(type="order.*", reason="expired"), False),
        (Wanted(ids=frozenset({"e1"}), type="order.*", reason="rejected"), True),
    ],
)
def test_a_filter_picks_what_meets_all_of_its_conditions(wanted: Wanted, *, picked: bool) -> None:
    assert wanted.picks(row()) is picked


def test_a_dead_letter_of_ours_becomes_a_row() -> None:
    record, message = letter(7)
    found = dead_letter(delivered(message), "g")
    assert found.name == ("/shop", "e7")
    assert (found.reason, found.error, found.message) == (
        record.reason,
        record.error,
        record.message,
    )
    assert (found.attempts, found.hop, found.replays) == (3, 3, 0)
    assert (found.exchange, found.routing_key) == ("events", "order.created")
    assert found.as_dict()["first_failed"] == "2023-11-14T22:13:20.123Z"


def test_a_dead_letter_that_the_broker_made_becomes_a_row_with_what_the_broker_knows() -> None:
    death = {
        "reason": "delivery_limit",
        "queue": "g",
        "exchange": "events",
        "routing-keys": ["a.b"],
    }
    message = Message(b"{}", message_id="e1", type="a.b", headers={"x-death": [death]})
    found = dead_letter(delivered(message), "g")
    assert (found.id, found.type, found.reason) == ("e1", "a.b", "delivery_limit")
    assert (found.group, found.exchange, found.routing_key) == ("g", "events", "a.b")
    assert found.as_dict()["last_failed"] is None


def test_a_message_without_any_identity_becomes_a_row_too() -> None:
    found = dead_letter(delivered(Message(b"\xff")), "g")
    assert (found.id, found.type, found.source, found.group) == (
        "",
        "",
        "",
        "g",
    ) or found.group == ""


def test_an_unrouted_event_becomes_a_row_with_the_way_it_came() -> None:
    body = b'{"specversion":"1.0","id":"e1","source":"/s","type":"a.b"}'
    message = Message(body, content_type=CONTENT_TYPE)
    found = unrouted_letter(delivered(message, "events", "a.b"))
    assert (found.name, found.type, found.reason) == (("/s", "e1"), "a.b", "unrouted")
    assert (found.exchange, found.routing_key) == ("events", "a.b")


def test_an_unrouted_message_that_is_no_event_becomes_a_row_with_the_problem() -> None:
    found = unrouted_letter(delivered(Message(b"{", message_id="m1", type="a.b"), "events", "a.b"))
    assert (found.id, found.type) == ("m1", "a.b")
    assert "not JSON" in found.message


def test_kinds_are_counted_by_reason_type_and_error_the_most_frequent_first() -> None:
    kinds = Kinds.of(
        [
            row(error="A", message="first", last_failed_ms=2),
            row(error="A", message="latest", last_failed_ms=3),
            row(error="B"),
            row(error="A", message="earlier", last_failed_ms=1),
            row(error="B", reason="expired"),
            row(error="B", type="mail.sent"),
        ]
    )
    found = kinds.most()
    assert kinds.total == 6
    assert [(kind.count, kind.reason, kind.type, kind.error) for kind in found] == [
        (3, "rejected", "order.created", "A"),
        (1, "expired", "order.created", "B"),
        (1, "rejected", "mail.sent", "B"),
        (1, "rejected", "order.created", "B"),
    ]
    assert found[0].example.message == "latest"


def test_a_record_without_times_says_null() -> None:
    message = Message(b"", headers=DeadLetter(reason="malformed").headers())
    found = dead_letter(delivered(message), "g").as_dict()
    assert found["first_failed"] is None
    assert found["last_failed"] is None
