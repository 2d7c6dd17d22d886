"""Which settle frames are sent: a `multiple` for the finished prefix, singles above it."""

from hypothesis import given
from hypothesis import strategies as st

from common.broker.acks import AckLedger, SettleFrame


def ledger(count: int) -> AckLedger:
    made = AckLedger()
    for tag in range(1, count + 1):
        made.delivered(tag)
    return made


def test_a_finished_prefix_is_acked_with_one_frame() -> None:
    acks = ledger(4)
    for tag in (1, 2, 3):
        assert acks.ack(tag)

    assert acks.take() == [SettleFrame(3, acked=True, multiple=True)]


def test_one_slow_delivery_does_not_hold_back_the_others() -> None:
    acks = ledger(4)
    acks.ack(3)
    acks.ack(4)

    assert acks.take() == [SettleFrame(3, acked=True), SettleFrame(4, acked=True)]
    acks.ack(2)
    acks.ack(1)
    assert acks.take() == [SettleFrame(2, acked=True, multiple=True)]


def test_a_nack_goes_before_the_multiple_that_would_pass_over_it() -> None:
    acks = ledger(3)
    acks.ack(1)
    acks.give_back(2, counted=False)
    acks.ack(3)

    assert acks.take() == [
        SettleFrame(2, acked=False),
        SettleFrame(3, acked=True, multiple=True),
    ]


def test_a_delivery_is_settled_once() -> None:
    acks = ledger(1)

    assert acks.ack(1)
    assert not acks.ack(1)
    assert not acks.give_back(1, counted=False)
    acks.take()
    assert not acks.ack(1)
    assert not acks.ack(99)


def test_what_is_handed_back_as_failed_says_so() -> None:
    acks = ledger(2)
    acks.give_back(1, counted=True)
    acks.give_back(2, counted=False)

    assert acks.take() == [
        SettleFrame(1, acked=False, counted=True),
        SettleFrame(2, acked=False, counted=False),
    ]


@given(st.lists(st.tuples(st.integers(1, 20), st.sampled_from(["ack", "back", "take"]))))
def test_the_broker_settles_what_was_settled_and_nothing_else(
    steps: list[tuple[int, str]],
) -> None:
    """A model of the broker applies the frames; what it still holds must be what we hold."""
    acks = ledger(20)
    held_by_broker, acked, handed_back = set(range(1, 21)), set[int](), set[int]()
    for tag, step in steps:
        if step == "ack" and acks.ack(tag):
            acked.add(tag)
        elif step == "back" and acks.give_back(tag, counted=False):
            handed_back.add(tag)
        elif step == "take":
            _apply(acks.take(), held_by_broker, acked)
    _apply(acks.take(), held_by_broker, acked)

    assert held_by_broker == set(range(1, 21)) - acked - handed_back


def _apply(frames: list[SettleFrame], held: set[int], acked: set[int]) -> None:
    for frame in frames:
        reached = {tag for tag in held if tag == frame.tag or (frame.multiple and tag < frame.tag)}
        if frame.acked:
            assert reached <= acked, "an ack reached a delivery that was not acked"
        held -= reached
