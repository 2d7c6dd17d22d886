"""`ConfirmWindow`: whatever the broker says, in whatever order, a publish is answered once."""

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from common.broker.fastlane.confirms import ConfirmWindow, Sent
from common.message import Message, Publishing

LIKE = [
    Publishing("e", "k", Message(b"1", message_id="a")),
    Publishing("e", "k", Message(b"2", message_id="a")),
    Publishing("e", "k2", Message(b"1", message_id="a")),
    Publishing("e2", "k", Message(b"1", message_id="a")),
    Publishing("e", "k", Message(b"1", message_id="b")),
]
"""All different, each in one part."""
NEVER = float("inf")


def window_of(*publishings: Publishing) -> ConfirmWindow[int]:
    """Return a window whose tokens are the numbers."""
    window = ConfirmWindow[int]()
    for number, publishing in enumerate(publishings, 1):
        assert window.sent(publishing, number, NEVER) == number
    return window


def told(found: Iterator[tuple[Sent[int], str | None]]) -> list[tuple[int, str | None]]:
    return [(sent.token, reply) for sent, reply in found]


def test_an_ack_answers_one_and_a_multiple_all_up_to_it_in_order() -> None:
    window = window_of(*LIKE)

    assert told(window.answered(3, multiple=False)) == [(3, None)]
    assert told(window.answered(4, multiple=True)) == [(1, None), (2, None), (4, None)]
    assert len(window) == 1
    assert told(window.answered(4, multiple=True)) == []
    assert told(window.answered(9, multiple=False)) == []


def test_a_return_belongs_to_the_publish_that_it_is_like_in_every_part() -> None:
    for number, publishing in enumerate(LIKE, 1):
        window = window_of(*LIKE)

        assert window.returned(publishing, "312 NO_ROUTE")

        answers = dict(told(window.answered(len(LIKE), multiple=True)))
        assert [one for one, reply in answers.items() if reply] == [number]


def test_what_comes_back_without_its_expiration_is_still_known() -> None:
    window = window_of(LIKE[0]._replace(expiration=5.0))

    assert window.returned(LIKE[0], "312")


def test_of_two_equal_publishes_one_returned_is_told_once() -> None:
    window = window_of(LIKE[0], LIKE[0])
    window.returned(LIKE[0], "312")

    assert told(window.answered(2, multiple=True)) == [(1, "312"), (2, None)]


def test_several_returns_before_one_multiple_ack_are_all_told() -> None:
    window = window_of(LIKE[0], LIKE[1], LIKE[0], LIKE[2])
    for back in (LIKE[0], LIKE[2], LIKE[0]):
        assert window.returned(back, "312")

    assert told(window.answered(4, multiple=True)) == [
        (1, "312"),
        (2, None),
        (3, "312"),
        (4, "312"),
    ]


def test_a_return_of_what_was_never_sent_or_is_answered_is_not_known() -> None:
    window = window_of(LIKE[0])

    assert not window.returned(LIKE[1], "312")
    assert told(window.answered(1, multiple=False)) == [(1, None)]
    assert not window.returned(LIKE[0], "312")


def test_a_late_return_of_what_was_given_up_is_known_and_harms_nobody() -> None:
    """Else the channel would end, and its neighbours with it, for an answer that is only late."""
    window = ConfirmWindow[int]()
    window.sent(LIKE[0], 1, 1.0)
    window.sent(LIKE[1], 2, NEVER)
    assert [sent.token for sent in window.overdue(1.0)] == [1]

    assert window.returned(LIKE[0], "312")
    assert not window.returned(LIKE[0], "312")  # once
    assert told(window.answered(2, multiple=True)) == [(2, None)]


def test_what_was_given_up_and_then_answered_is_forgotten() -> None:
    for multiple in (False, True):
        window = ConfirmWindow[int]()
        window.sent(LIKE[0], 1, 1.0)
        assert len(list(window.overdue(1.0))) == 1

        assert told(window.answered(1, multiple=multiple)) == []
        assert not window.returned(LIKE[0], "312")


def test_a_second_try_under_way_is_returned_before_the_first_that_was_given_up() -> None:
    """A return that is taken for the other one's would be a false confirm of this one."""
    window = ConfirmWindow[int]()
    window.sent(LIKE[0], 1, 1.0)
    assert len(list(window.overdue(1.0))) == 1
    window.sent(LIKE[0], 2, NEVER)

    assert window.returned(LIKE[0], "312")
    assert told(window.answered(2, multiple=False)) == [(2, "312")]


def test_deadlines_pass_in_their_own_order() -> None:
    window = ConfirmWindow[int]()
    assert window.next_deadline == NEVER
    for number, deadline in enumerate((5.0, 3.0, 9.0), 1):
        window.sent(LIKE[0], number, deadline)

    assert window.next_deadline == 3.0
    assert [sent.token for sent in window.overdue(5.0)] == [1, 2]
    assert window.next_deadline == 9.0
    assert [sent.token for sent in window.lost()] == [3]
    assert not window


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 2), st.integers(1, 30)),
        st.tuples(st.sampled_from(["ack", "multiple", "return"]), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(1, 5)),
        st.tuples(st.just("lose"), st.just(0), st.just(0)),
    ),
    max_size=50,
)


@given(STEPS)
def test_each_publish_is_answered_once_and_each_return_is_told(
    steps: list[tuple[str, int, int]],
) -> None:
    """The broker of this model knows which publish it means, which is more than it says."""
    window = ConfirmWindow[int]()
    contents: list[Publishing] = []
    deadlines: dict[int, int] = {}
    waiting, returned = set[int](), set[int]()
    answers: list[tuple[int, str | None]] = []
    given_up, now = set[int](), 0
    for step, which, amount in [*steps, ("multiple", len(steps) + 1, 0), ("lose", 0, 0)]:
        if step == "send":
            number = window.sent(LIKE[which], len(contents) + 1, now + amount)
            contents.append(LIKE[which])
            deadlines[number] = now + amount
            waiting.add(number)
        elif step == "return" and which in waiting - returned:
            returned.add(which)
            assert window.returned(contents[which - 1], "312"), "a return of ours was not known"
        elif step in ("ack", "multiple"):
            lowest = 1 if step == "multiple" else which
            reached = {one for one in waiting if lowest <= one <= which}
            waiting -= reached
            found = told(window.answered(which, multiple=step == "multiple"))
            assert [one for one, _ in found] == sorted(reached - given_up)
            answers += found
        elif step == "pass":
            now += amount
            late = {one for one in waiting - given_up if deadlines[one] <= now}
            assert {sent.token for sent in window.overdue(now)} == late
            given_up |= late
        elif step == "lose":
            lost = [sent.token for sent in window.lost()]
            assert lost == sorted(waiting - given_up)
            given_up |= waiting
            waiting.clear()
        assert len(window) == len(waiting - given_up)
        assert window.next_deadline == min(
            (deadlines[one] for one in waiting - given_up), default=NEVER
        )

    assert sorted({one for one, _ in answers} | given_up) == list(range(1, len(contents) + 1))
    assert len({one for one, _ in answers}) == len(answers), "answered twice"
    if not given_up:
        told_back = Counter(id(contents[one - 1]) for one, reply in answers if reply)
        assert told_back == Counter(id(contents[one - 1]) for one in returned)
