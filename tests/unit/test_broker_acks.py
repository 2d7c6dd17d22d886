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
    acks.nack(2)
    acks.ack(3)

    assert acks.take() == [
        SettleFrame(2, acked=False),
        SettleFrame(3, acked=True, multiple=True),
    ]


def test_a_delivery_is_settled_once() -> None:
    acks = ledger(1)

    assert acks.ack(1)
    assert not acks.ack(1)
    assert not acks.nack(1)
    acks.take()
    assert not acks.ack(1)
    assert not acks.ack(99)


@given(st.lists(st.tuples(st.integers(1, 20), st.sampled_from("ant")), max_size=80))
def test_the_broker_settles_what_was_settled_and_nothing_else(
    steps: list[tuple[int, str]],
) -> None:
    """A model of the broker applies the frames; its unsettled set must be ours."""
    acks = ledger(20)
    ours, broker = set(range(1, 21)), set(range(1, 21))
    acked_by_us: set[int] = set()
    for tag, what in steps:
        if what == "t":
            _apply(acks.take(), broker, acked_by_us)
        elif (acks.ack(tag) if what == "a" else acks.nack(tag)) and what == "a":
            acked_by_us.add(tag)
            ours.discard(tag)
        else:
            ours.discard(tag) if tag not in acked_by_us else None
    _apply(acks.take(), broker, acked_by_us)

    assert broker == ours


def _apply(frames: list[SettleFrame], broker: set[int], acked_by_us: set[int]) -> None:
    for frame in frames:
        reached = {
            tag for tag in broker if tag == frame.tag or (frame.multiple and tag < frame.tag)
        }
        if frame.acked:
            assert reached <= acked_by_us, "an ack reached a delivery that was not acked"
        broker -= reached
