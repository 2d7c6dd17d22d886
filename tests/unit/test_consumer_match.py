"""Topic patterns, against a table and against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.match import is_wildcard, matches, overlap, pattern_problem

WORDS = st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=5).map(".".join)
TYPES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(".".join)


@pytest.mark.parametrize(
    ("pattern", "type_", "expected"),
    [
        ("order.created", "order.created", True),
        ("order.created", "order.paid", False),
        ("order.*", "order.created", True),
        ("order.*", "order", False),
        ("order.*", "order.created.v2", False),
        ("order.#", "order", True),
        ("order.#", "order.created.v2", True),
        ("#", "anything.at.all", True),
        ("#.created", "order.created", True),
        ("#.created", "created", True),
        ("#.created", "order.created.v2", False),
        ("*.*", "a.b", True),
        ("#.#", "a", True),
        ("a.#.b", "a.x.y.b", True),
        ("order.*", "order.*", True),
        ("order.created", "order.*", False),
    ],
)
def test_matches_as_a_topic_exchange_does(pattern: str, type_: str, *, expected: bool) -> None:
    assert matches(pattern, type_) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("order.*", "*.created", True),
        ("order.*", "invoice.*", False),
        ("order.#", "order.*", True),
        ("#", "a.b", True),
        ("*.a", "*.b", False),
        ("#.a", "#.b", False),
        ("a.#", "#.b", True),
        ("*", "a.b", False),
    ],
)
def test_overlap_is_found_in_both_directions(one: str, other: str, *, expected: bool) -> None:
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


@given(one=WORDS, other=WORDS, type_=TYPES)
def test_patterns_that_match_one_type_overlap(one: str, other: str, type_: str) -> None:
    if matches(one, type_) and matches(other, type_):
        assert overlap(one, other)


@given(pattern=WORDS)
def test_every_pattern_overlaps_itself(pattern: str) -> None:
    assert overlap(pattern, pattern)


def test_a_type_of_many_words_against_many_wildcards_is_answered() -> None:
    assert matches(".".join(["#"] * 100), ".".join(["a"] * 100))


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("", "non-empty"),
        (7, "non-empty"),
        ("a" * 256, "255"),
        ("order..created", "empty word"),
        (".a", "empty word"),
        ("order.cr*", "whole words"),
        ("order created", "white space"),
        ("order.\x00", "control"),
    ],
)
def test_a_pattern_that_the_broker_would_not_understand_is_refused(
    pattern: object, word: str
) -> None:
    problem = pattern_problem(pattern)

    assert problem is not None
    assert word in problem


def test_what_is_fine_has_no_problem() -> None:
    assert [pattern_problem(one) for one in ("a", "a.*", "#", "com.example.order-created_v2")] == [
        None
    ] * 4
    assert [is_wildcard(one) for one in ("a.b", "a.*", "#")] == [False, True, True]
