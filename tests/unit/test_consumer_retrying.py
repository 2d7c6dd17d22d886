"""Retry policies: delays, the policy of a type of errors, spans, and what cannot be meant."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.topology import tier_for
from consumer.failure import Failure
from consumer.outcome import Attempt, RetryIn
from consumer.retrying import RetryPolicy
from tidings import Reject, Retry

EXPONENTIAL = RetryPolicy.exponential("1s", 2, "10s", jitter="none")
LINEAR = RetryPolicy.linear("5s", "2s", "10s", jitter="none")
LISTED = RetryPolicy.delays("1s", "1m", 10, jitter="none")


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (EXPONENTIAL, [1, 2, 4, 8, 10, 10]),
        (LINEAR, [5, 7, 9, 10, 10, 10]),
        (LISTED, [1, 60, 10, 10, 10, 10]),
        (RetryPolicy.exponential("2h", jitter="none"), [7200] * 6),
        (RetryPolicy(factor=1.5, step=1, jitter="none"), [1, 3, 6.75, 13.5, 25.3125, 45.5625]),
        (RetryPolicy(first_delay=0, jitter="none"), [0] * 6),
    ],
    ids=["exponential", "linear", "listed", "a first one over an hour", "both", "at once"],
)
def test_the_delays_of_each_kind(policy: RetryPolicy, delays: list[float]) -> None:
    assert [policy.delay(n, 0.9) for n in range(1, 7)] == delays


@pytest.mark.parametrize(
    ("jitter", "roll", "delay"),
    [
        ("none", 0.9, 16.0),
        ("equal", 0.0, 8.0),
        ("equal", 0.5, 12.0),
        ("full", 0.0, 0.0),
        ("full", 0.5, 8.0),
    ],
)
def test_jitter_spreads_the_third_delay(jitter: str, roll: float, delay: float) -> None:
    policy = RetryPolicy(jitter=jitter)  # type: ignore[arg-type] # from the table above

    assert policy.delay(3, roll) == delay


@given(
    failures=st.integers(1, 10**6),
    roll=st.floats(0, 1, exclude_max=True),
    jitter=st.sampled_from(["none", "equal", "full"]),
)
def test_a_delay_is_never_longer_than_the_longest(failures: int, roll: float, jitter: str) -> None:
    policy = RetryPolicy(jitter=jitter)  # type: ignore[arg-type] # sampled from the three

    assert 0 <= policy.delay(failures, roll) <= policy.longest_delay


def test_the_default_policy_spans_hours() -> None:
    total = sum(RetryPolicy(jitter="none").delay(n, 0.0) for n in range(1, 10))

    assert 2 * 3600 < total < 5 * 3600


def test_the_longest_delay_is_the_one_before_the_last_attempt() -> None:
    assert [RetryPolicy(attempts=n).longest for n in (1, 2, 3, 10)] == [0.0, 1.0, 4.0, 3600.0]


def _weather(attempt: Attempt, failure: Failure) -> RetryIn:
    return RetryIn(attempt.age)


async def _later(attempt: Attempt, failure: Failure) -> RetryIn:
    return RetryIn(attempt.age)


BANK, SOON = RetryPolicy(attempts=20), RetryPolicy(attempts=2)
MIXED = RetryPolicy(for_errors={OSError: BANK, ConnectionError: SOON, Exception: LISTED})


@pytest.mark.parametrize(
    ("types", "policy"),
    [
        ((), MIXED),
        ((OSError,), BANK),
        ((FileNotFoundError,), BANK),
        ((ConnectionResetError,), SOON),
        ((ValueError,), LISTED),
        ((SystemExit,), MIXED),
        ((SystemExit, ConnectionError, OSError), SOON),
    ],
)
def test_the_nearest_class_of_the_first_error_that_has_one_chooses_the_policy(
    types: tuple[type[BaseException], ...], policy: RetryPolicy
) -> None:
    assert MIXED.for_types(types) is policy


def test_most_attempts_and_the_longest_delay_are_those_of_all_types() -> None:
    assert MIXED.most_attempts == 20
    assert RetryPolicy(attempts=1, for_errors={OSError: LISTED}).longest == 60.0
    assert replace(LISTED, attempts=2).longest == 1.0
    assert replace(LINEAR, attempts=3).longest == 7.0


@pytest.mark.parametrize(
    ("policy", "span"),
    [
        (RetryPolicy(attempts=1), 0),
        (replace(EXPONENTIAL, attempts=4), 1 + 2 + 4),
        (replace(LISTED, attempts=4), 1 + 64 + 16),
        (replace(LINEAR, attempts=10**9), 8 + 8 + 16 * (10**9 - 3)),
        (replace(EXPONENTIAL, attempts=100, max_age=20), 20 + 16),
        (replace(EXPONENTIAL, attempts=4, max_age=20), 1 + 2 + 4),
        (replace(EXPONENTIAL, attempts=3, for_errors={OSError: LINEAR}), 8 + 8 + 16 * 7),
        (
            replace(
                EXPONENTIAL,
                attempts=100,
                max_age=20,
                for_errors={OSError: RetryPolicy(attempts=1)},
            ),
            20 + 16,
        ),
    ],
)
def test_a_span_adds_the_tiers_of_all_delays(policy: RetryPolicy, span: float) -> None:
    assert policy.span == span


@given(
    st.builds(
        RetryPolicy,
        attempts=st.integers(1, 50),
        first_delay=st.floats(0, 100),
        step=st.floats(0, 100),
        factor=st.floats(1, 3),
        longest_delay=st.floats(100, 10_000),
        max_age=st.none() | st.floats(1, 10_000),
    ),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=50, max_size=50),
)
def test_no_run_of_failures_lasts_longer_than_the_span(
    policy: RetryPolicy, rolls: list[float]
) -> None:
    age = 0.0
    for n in range(1, policy.attempts):
        if policy.max_age is not None and age >= policy.max_age:
            break
        age += tier_for(policy.delay(n, rolls[n - 1]))
        assert policy.delay(n, rolls[n - 1]) <= policy.longest

    assert age <= policy.span


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (RetryPolicy(), "10 attempts, 1s-1h, jitter equal"),
        (RetryPolicy(attempts=1), "1 attempt"),
        (LINEAR, "10 attempts, 5s-10s in steps of 2s, jitter none"),
        (LISTED, "10 attempts, 1s 1m 10s, jitter none"),
        (RetryPolicy.delays(*range(9)), "10 attempts, 0s 1s 2s … 8s, jitter equal"),
        (
            RetryPolicy(
                attempts=2,
                max_age=6 * 3600,
                unrecoverable=(KeyError,),
                for_errors={OSError: LISTED, ValueError: RetryPolicy(attempts=1)},
                decide=_weather,
            ),
            (
                "2 attempts, 1s, jitter equal, max_age 6h, decide _weather; never again: KeyError; "
                "OSError: 10 attempts, 1s 1m 10s, jitter none; ValueError: 1 attempt"
            ),
        ),
    ],
)
def test_a_policy_says_itself_in_a_line(policy: RetryPolicy, words: str) -> None:
    assert str(policy) == words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"attempts": 0}, "attempts must be 1 or more"),
        ({"attempts": 2.5}, "attempts must be 1 or more"),
        ({"first_delay": -1.0}, "first_delay: '-1.0' is not a duration"),
        ({"first_delay": 5.0, "longest_delay": 1.0}, "longest_delay must not be below"),
        ({"longest_delay": 1e8}, "longest_delay: .* is longer than"),
        ({"step": float("nan")}, "step: 'nan' is not a duration"),
        ({"factor": 0.5}, "factor must be 1 or more"),
        ({"factor": "4"}, "factor must be 1 or more"),
        ({"jitter": "some"}, "jitter must be none, equal or full, not 'some'"),
        ({"max_age": 0.0}, "max_age must be more than 0"),
        ({"listed": ("soon",)}, "listed: 'soon' is not a duration"),
        ({"unrecoverable": "ValueError"}, "unrecoverable must be types of errors"),
        ({"unrecoverable": (1,)}, "unrecoverable: 1 is no type of an error"),
        ({"unrecoverable": (ExceptionGroup,)}, "unrecoverable: groups are looked into"),
        ({"for_errors": {Retry: SOON}}, "for_errors: Retry says itself what follows"),
        ({"for_errors": {OSError: 5}}, "for_errors: OSError must have a RetryPolicy"),
        ({"for_errors": {OSError: MIXED}}, "for_errors: .* has for_errors itself"),
        ({"for_errors": [OSError]}, "for_errors must be a dict"),
        ({"decide": 5}, "decide must be a function"),
        ({"decide": _later}, "decide must be a plain function"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RetryPolicy(**arguments)


def test_a_list_of_no_delays_and_a_rejected_type_are_refused() -> None:
    with pytest.raises(ValueError, match="delays must be one or more"):
        RetryPolicy.delays()
    with pytest.raises(ValueError, match="unrecoverable: Reject says itself"):
        RetryPolicy(unrecoverable=(Reject,))


def test_one_type_alone_and_durations_as_text_are_understood() -> None:
    loose: dict[str, Any] = {"unrecoverable": KeyError, "first_delay": "2s", "max_age": "1h"}

    policy = RetryPolicy(**loose)

    assert (policy.unrecoverable, policy.first_delay, policy.max_age) == ((KeyError,), 2.0, 3600.0)
