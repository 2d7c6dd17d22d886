"""Which settles are sent: a `multiple` for the finished prefix, singles above it."""

from hypothesis import given
from hypothesis import strategies as st

from common.broker.fastlane.acks import AckLedger, Settles


def ledger(count: int) -> AckLedger:
    made = AckLedger()
    for tag in range(1, count + 1):
        made.delivered(tag)
    return made


def test_a_finished_prefix_is_acked_with_one_frame() -> None:
    acks = ledger(4)
    for tag in (1, 2, 3):
        assert acks.ack(tag)

    assert acks.take() == Settles(prefix=3)


def test_one_slow_delivery_does_not_hold_back_the_others() -> None:
    acks = ledger(4)
    acks.ack(3)
    acks.ack(4)

    assert acks.take() == Settles(acked=(3, 4))
    acks.ack(2)
    acks.ack(1)
    assert acks.take() == Settles(prefix=2)


def test_one_ack_alone_is_no_multiple() -> None:
    acks = ledger(2)
    acks.ack(1)

    assert acks.take() == Settles(acked=(1,))


def test_a_nack_goes_before_the_multiple_that_would_pass_over_it() -> None:
    acks = ledger(3)
    acks.ack(1)
    acks.nack(2)
    acks.ack(3)

    assert acks.take() == Settles(nacked=(2,), prefix=3)


def test_a_delivery_is_settled_once() -> None:
    acks = ledger(1)

    assert acks.ack(1)
    assert not acks.ack(1)
    assert not acks.nack(1)
    assert not acks.reject(1)
    acks.take()
    assert not acks.ack(1)
    assert not acks.ack(99)


def test_what_is_handed_back_as_failed_says_so() -> None:
    acks = ledger(2)
    acks.reject(1)
    acks.nack(2)

    assert acks.take() == Settles(nacked=(2,), rejected=(1,))
    assert acks.take() == Settles()


def test_what_nobody_has_settled_is_counted() -> None:
    acks = ledger(3)
    acks.ack(1)
    acks.reject(3)

    assert len(acks) == 1


STEPS = st.lists(
    st.tuples(
        st.integers(1, 20), st.sampled_from(["deliver", "ack", "ack", "nack", "reject", "take"])
    ),
    max_size=60,
)


@given(STEPS)
def test_the_broker_settles_what_was_settled_and_nothing_else(
    steps: list[tuple[int, str]],
) -> None:
    """A model of the broker applies the settles; what it still holds must be what we hold."""
    acks = AckLedger()
    last, held, acked, back = 0, set[int](), set[int](), set[int]()
    for tag, step in [*steps, (0, "take")]:
        if step == "deliver":
            last += 1
            acks.delivered(last)
            held.add(last)
        elif step == "ack" and acks.ack(tag):
            acked.add(tag)
        elif step in ("nack", "reject") and getattr(acks, step)(tag):
            back.add(tag)
        elif step == "take":
            _apply(acks.take(), held, acked, back)

    assert held == set(range(1, last + 1)) - acked - back
    assert len(acks) == len(held)


def _apply(settles: Settles, held: set[int], acked: set[int], back: set[int]) -> None:
    """Do what the broker does, which closes the channel for a tag that it does not hold."""
    handed_back = {*settles.nacked, *settles.rejected}
    assert handed_back <= held & back
    held -= handed_back
    passed = {tag for tag in held if tag <= settles.prefix}
    assert settles.prefix in {0, *passed}
    assert passed <= acked, "an ack reached a delivery that was not acked"
    held -= passed
    assert set(settles.acked) <= held & acked
    held -= set(settles.acked)
