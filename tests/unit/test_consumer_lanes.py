"""Which of those in hand is the next, rule by rule. With keys, `a2` is the second of key `a`;
with `!` it must be alone.
"""

from collections.abc import Callable
from typing import NoReturn

import pytest

from consumer.lanes import LONGEST_WAIT, ByKey, Highest, InArrival, Newest, Waiting


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Opaque:
    """A thing that nobody may compare, hash or ask whether it is true."""

    def _refuse(self, *_: object) -> NoReturn:
        raise AssertionError("looked at")

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse
    __hash__ = __bool__ = _refuse


def start(lanes: Waiting[str]) -> list[str]:
    """Take all that may start now."""
    started = []
    while (one := lanes.take()) is not None:
        started.append(one)
    return started


def highest(clock: Time, *priorities: int | None) -> Highest[int | None]:
    lanes = Highest[int | None](clock, lambda priority: priority)
    for priority in priorities:
        lanes.offer(priority)
    return lanes


OPAQUE: list[Callable[[], Waiting[Opaque]]] = [
    InArrival[Opaque],
    lambda: Newest[Opaque](Time()),
    lambda: Highest[Opaque](Time(), lambda _: 7),
]
opaque = pytest.mark.parametrize("made", OPAQUE, ids=["arrival", "newest", "highest"])


@opaque
def test_what_waits_is_never_compared_nor_hashed(made: Callable[[], Waiting[Opaque]]) -> None:
    lanes = made()
    things = [Opaque() for _ in range(9)]
    for thing in things:
        lanes.offer(thing)

    assert lanes.forget(lambda thing: thing is things[4]) == 1
    assert len(lanes) == 8
    taken = {id(lanes.take()) for _ in range(8)}
    assert taken == {id(thing) for thing in things if thing is not things[4]}
    assert (lanes.take(), lanes.forget(lambda _: True), len(lanes)) == (None, 0, 0)


def test_in_arrival_the_first_that_came_is_the_first_to_start() -> None:
    lanes = InArrival[str]("abcd")
    lanes.offer("e")

    assert lanes.forget(lambda one: one in "bd") == 2
    assert start(lanes) == ["a", "c", "e"]


def test_the_newest_starts_first_whatever_was_forgotten() -> None:
    lanes = Newest[str](Time())
    for one in "abcd":
        lanes.offer(one)

    assert lanes.forget(lambda one: one in "bd") == 2
    assert len(lanes) == 2
    lanes.offer("e")
    assert start(lanes) == ["e", "c", "a"]


def test_one_that_has_waited_for_long_goes_before_newer_ones_from_the_very_second_on() -> None:
    time = Time()
    lanes = Newest[str](time)
    lanes.offer("old")
    for one in ("new", "newer"):
        time.now = 1000 + LONGEST_WAIT - 0.125
        lanes.offer(one)

    assert lanes.take() == "newer"
    time.now += 0.125
    lanes.offer("newest")
    assert start(lanes) == ["old", "newest", "new"]


def test_of_several_that_have_waited_for_long_the_oldest_is_the_next() -> None:
    time = Time()
    lanes = Newest[str](time)
    for one in "abc":
        lanes.offer(one)
        time.now += 1
    time.now += LONGEST_WAIT

    assert start(lanes) == ["a", "b", "c"]


def test_the_highest_priority_starts_first_and_of_equal_ones_the_first_that_came() -> None:
    lanes = Highest[str](Time(), lambda name: int(name[1]))
    for name in ("a1", "b9", "c1", "d9", "e0", "f9"):
        lanes.offer(name)

    assert start(lanes) == ["b9", "d9", "f9", "a1", "c1", "e0"]


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        pytest.param((3, None, 5), [5, None, 3], id="none lies between 3 and 5"),
        pytest.param((4, None, 4), [4, None, 4], id="none is as high as 4"),
        pytest.param((31, 255, 32), [31, 255, 32], id="above 31 all are as high as 31"),
        pytest.param((30, 255), [255, 30], id="and higher than 30"),
        pytest.param((1, 0), [1, 0], id="0 is the lowest"),
    ],
)
def test_what_a_priority_counts(offered: tuple[int | None, ...], taken: list[int | None]) -> None:
    lanes = highest(Time(), *offered)

    assert [lanes.take() for _ in offered] == taken


@pytest.mark.parametrize(
    ("early", "late", "seconds"), [(0, 31, 31), (0, 1, 1), (None, 6, 2), (0, 200, 31), (5, 5, 0)]
)
def test_a_second_of_waiting_is_worth_a_level_and_of_two_that_are_level_the_earlier_is_next(
    early: int | None, late: int, seconds: float
) -> None:
    time = Time()
    lanes = highest(time, early)
    time.now += seconds
    lanes.offer(late)
    assert [lanes.take(), lanes.take()] == [early, late]

    lanes.offer(early)
    time.now += seconds - 0.125
    lanes.offer(late)
    assert [lanes.take(), lanes.take()] == [late, early]


def test_what_was_forgotten_leaves_the_others_in_the_order_of_their_priorities() -> None:
    lanes = highest(Time(), *range(20))

    assert lanes.forget(lambda priority: priority is not None and priority % 3 > 0) == 13
    assert len(lanes) == 7
    assert [lanes.take() for _ in range(7)] == [18, 15, 12, 9, 6, 3, 0]


def play(script: str) -> ByKey[str]:
    """Do it step by step: `take` and `forget` with what they must return, the others with what."""
    lanes = ByKey[str](lambda name: name[0], lambda name: name.endswith("!"))
    for step in script.split(", "):
        word, *names = step.split()
        if word == "take":
            assert start(lanes) == names, step
        elif word == "forget":
            assert lanes.forget(names[1:].__contains__) == int(names[0]), step
        else:
            for name in names:
                getattr(lanes, word)(name)
    return lanes


KEYS = {
    "one of each key runs, and the next of it when that is done": (
        "offer a1 a2 a3 b1, take a1 b1, done a1, take a2, done b1, take, done a2, take a3"
    ),
    "the keys take turns, however many wait of one": (
        "offer a1! a2! a3! b1! b2! c1!, take a1!, done a1!, take b1!, done b1!, take c1!, "
        "done c1!, take a2!, done a2!, take b2!, done b2!, take a3!, done a3!, take"
    ),
    "a key that comes anew is behind those that wait": (
        "offer a1, take a1, offer b1 c1, done a1, offer a2 d1, take b1 c1 a2 d1"
    ),
    "nothing of a key starts while its first is held, and other keys go on": (
        "offer a1 a2 b1 b2, take a1 b1, hold a1, offer a3, done b1, take b2, done b2, take"
    ),
    "what is resumed starts before other keys and before those behind it": (
        "offer a1 a2, take a1, hold a1, offer b1, resume a1, take a1 b1, done a1, take a2"
    ),
    "one that is held again and again keeps its place": (
        "offer a1 a2, take a1, hold a1, take, resume a1, take a1, hold a1, take, resume a1, "
        "take a1, done a1, take a2"
    ),
    "what is resumed twice starts once": (
        "offer a1 a2, take a1, hold a1, resume a1 a1, offer b1, take a1 b1, done a1, take a2"
    ),
    "to resume what runs, waits, is done or was never there is nothing": (
        "offer a1 a2, take a1, resume a1 a2 x1, take, offer b1, resume b1, take b1, done a1, "
        "resume a1, take a2"
    ),
}
ALONE = {
    "it starts when nothing runs, and nothing starts until then": (
        "offer a1 b1, take a1 b1, offer c1! d1, take, done a1, take, done b1, take c1!"
    ),
    "nothing starts beside it, and all may go on when it is done": (
        "offer a1! b1, take a1!, offer c1!, take, done a1!, take b1, done b1, take c1!"
    ),
    "two of them run one after the other": "offer a1! b1!, take a1!, done a1!, take b1!",
    "it stops nothing until it is the first of its key": (
        "offer a1 a2! b1, take a1 b1, offer c1, take c1, done a1, take, done b1 c1, take a2!"
    ),
    "held, it lets others start, and waits for quiet again when it is resumed": (
        "offer a1! a2 b1, take a1!, hold a1!, take b1, resume a1!, offer c1, take, done b1, "
        "take a1!, done a1!, take c1 a2"
    ),
    "forgotten while it waits for quiet, it stops nothing any more": (
        "offer a1 b1! b2 c1, take a1, forget 1 b1!, take b2 c1"
    ),
}
FORGET = {
    "of what waits leaves the others in their order": (
        "offer a1 a2 a3 a4, forget 2 a1 a3, take a2, done a2, take a4, done a4, take"
    ),
    "of a whole key leaves the others, and the key can come anew": (
        "offer a1 a2 b1, forget 2 a1 a2, take b1, offer a3, take a3"
    ),
    "of what runs is nothing: it keeps its key": (
        "offer a1 a2, take a1, forget 0 a1, take, done a1, take a2"
    ),
    "of what is behind a running one starts nothing beside that": (
        "offer a1 a2 a3, take a1, forget 1 a2, take, done a1, take a3"
    ),
    "of all behind a running one keeps the key for that": (
        "offer a1 a2, take a1, forget 1 a2, take, offer a3, take, done a1, take a3"
    ),
    "of all behind a running one lets that be held": (
        "offer a1 a2, take a1, forget 1 a1 a2, hold a1, take, resume a1, take a1"
    ),
    "of a held one lets those behind it start": (
        "offer a1 a2 a3, take a1, hold a1, forget 1 a1, take a2, done a2, take a3"
    ),
    "of a held one makes its resumption nothing": (
        "offer a1 a2 b1, take a1 b1, hold a1, forget 1 a1, resume a1, take a2, resume a1, take"
    ),
    "of a held one with nothing behind it frees its key": (
        "offer a1, take a1, hold a1, forget 1 a1, take, resume a1, take, offer a2, take a2"
    ),
    "of what is behind a held one leaves that held": (
        "offer a1 a2 a3, take a1, hold a1, forget 1 a2, take, resume a1, take a1, done a1, take a3"
    ),
    "of one that was resumed lets the next of its key start, once": (
        "offer a1 a2, take a1, hold a1, resume a1, forget 1 a1, take a2, done a2, take"
    ),
    "of something of a key leaves the key its turn": (
        "offer a1 a2 b1 c1 c2, forget 2 a2 c1, take a1 b1 c2"
    ),
}


@pytest.mark.parametrize("script", KEYS.values(), ids=list(KEYS))
def test_with_keys_one_of_each_runs_and_in_order(script: str) -> None:
    play(script)


@pytest.mark.parametrize("script", ALONE.values(), ids=list(ALONE))
def test_one_that_must_be_alone_has_nothing_beside_it(script: str) -> None:
    play(script)


@pytest.mark.parametrize("script", FORGET.values(), ids=list(FORGET))
def test_what_is_forgotten_neither_starts_nor_stops_others(script: str) -> None:
    play(script)


def test_what_is_held_counts_as_waiting_and_what_runs_does_not() -> None:
    lanes = play("offer a1 a2 b1 c1, take a1 b1 c1, hold a1, done b1")

    assert (len(lanes), lanes.running) == (2, 1)
    assert lanes.forget(lambda _: True) == 2
    assert (len(lanes), lanes.running) == (0, 1)
