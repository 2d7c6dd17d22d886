"""Which messages a replay takes, where it sends them, and how fast."""

import pytest

from common.history import History
from common.message import Message
from ops.letters.letter import Letter, Wanted
from ops.letters.pace import CATCH_UP, Pace
from ops.letters.replay import Left, Order, reason_to_leave
from ops.letters.shelf import dead_shelf, unrouted_shelf
from support.shelves import delivered, letter

EVERYTHING = Order(Wanted())


def row(**given: object) -> Letter:
    values = {"id": "e1", "type": "a", "source": "/s", "reason": "rejected", "hop": 3, **given}
    return Letter(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "order", "sent", "left"),
    [
        (row(), EVERYTHING, {}, None),
        (row(), Order(Wanted(type="b")), {}, Left.OTHER),
        (row(replays=2), EVERYTHING, {}, None),
        (row(replays=3), EVERYTHING, {}, Left.SPENT),
        (row(replays=3), Order(Wanted(), force=True), {}, None),
        # Sent as hop 4 by this run: this is it again, or a later copy of it.
        (row(hop=4), EVERYTHING, {("/s", "e1"): 4}, Left.BACK),
        (row(hop=9), EVERYTHING, {("/s", "e1"): 4}, Left.BACK),
        (row(hop=9), Order(Wanted(), force=True), {("/s", "e1"): 4}, Left.BACK),
        # A second letter about the same event, from before.
        (row(hop=3), EVERYTHING, {("/s", "e1"): 4}, None),
        (row(hop=9), EVERYTHING, {("/s", "e2"): 4}, None),
        # Without an id nothing tells two messages apart.
        (row(id="", source="", hop=9), EVERYTHING, {("", ""): 4}, None),
    ],
)
def test_a_replay_leaves_what_it_should_not_send(
    found: Letter, order: Order, sent: dict[tuple[str, str], int], left: Left | None
) -> None:
    assert reason_to_leave(found, order, sent) is left


def test_a_dead_letter_goes_to_its_groups_queue_with_a_fresh_start_and_the_same_bytes() -> None:
    _, message = letter(1)
    delivery = delivered(message, "g.dead", "g")

    again = dead_shelf("g").again(delivery, "unused")

    assert (again.exchange, again.routing_key, again.expiration) == ("g.return", "g", None)
    assert again.message.body is message.body
    assert again.message.headers == {
        "traceparent": "00-abc-def-01",
        "tidings-hop": 4,
        "tidings-exchange": "events",
        "tidings-routing-key": "order.created",
        "tidings-replays": 1,
    }


def test_a_dead_letter_that_the_broker_made_keeps_its_first_exchange_and_routing_key() -> None:
    death = {
        "reason": "delivery_limit",
        "queue": "g",
        "exchange": "events",
        "routing-keys": ["a.b"],
    }
    message = Message(b"{}", headers={"x-death": [death], "x-delivery-count": 21})
    delivery = delivered(message, "g.dead", "g")

    again = dead_shelf("g").again(delivery, "new-id")

    assert again.message.message_id == "new-id"
    assert again.message.headers == {
        "tidings-hop": 1,
        "tidings-exchange": "events",
        "tidings-routing-key": "a.b",
        "tidings-replays": 1,
    }


def test_an_unrouted_message_takes_the_way_it_came_and_keeps_its_history() -> None:
    _, message = letter(1)
    delivery = delivered(message, "g.return", "g")

    again = unrouted_shelf().again(delivery, "unused")

    assert (again.exchange, again.routing_key) == ("g.return", "g")
    returned = delivered(again.message, "", "")
    assert History.of(returned) == History.of(delivery).copied()


def test_a_pace_spreads_steps_evenly() -> None:
    pace = Pace(10)
    assert [pace.delay(100.0) for _ in range(4)] == pytest.approx([0.0, 0.0, 0.1, 0.2])


def test_a_pace_makes_up_for_a_short_delay_and_not_for_a_long_one() -> None:
    pace = Pace(100)
    pace.delay(0.0)
    assert [pace.delay(60.0) for _ in range(12)].count(0.0) == CATCH_UP * 100 + 1


def test_a_rate_of_zero_never_waits() -> None:
    pace = Pace(0)
    assert [pace.delay(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 unrouted event"), (0, "0 unrouted events"), (2, "2 unrouted events")]
)
def test_a_count_is_said_in_singular_or_plural(count: int, said: str) -> None:
    assert unrouted_shelf().counted(count) == said
