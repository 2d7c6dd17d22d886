"""What becomes of a failed delivery, as tables: no broker, no clock, no dice."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.deadletter import TEXT_BYTES, TRACEBACK_BYTES, Reason
from consumer.exits import Reject, Retry, Snooze
from consumer.policy import (
    SNOOZE_AT_MOST,
    Attempt,
    Cause,
    Dead,
    Failure,
    Isolate,
    Outcome,
    Patience,
    Release,
    RetryIn,
    RetryPolicy,
    classify,
    decide,
)

PLAIN = RetryPolicy(attempts=3, jitter="none")
RAISED = Failure(Cause.RAISED, types=(RuntimeError,))
FIRST = Attempt(number=1)


@pytest.mark.parametrize(
    ("policy", "attempt", "failure", "outcome"),
    [
        pytest.param(PLAIN, FIRST, Failure(Cause.INTERRUPTED), Release(), id="shutdown releases"),
        pytest.param(
            PLAIN,
            Attempt(number=99),
            Failure(Cause.INTERRUPTED),
            Release(),
            id="a shutdown releases however many attempts there were",
        ),
        pytest.param(PLAIN, FIRST, Failure(Cause.SUSPECT), Isolate(), id="a suspect is isolated"),
        pytest.param(
            PLAIN, FIRST, Failure(Cause.MALFORMED), Dead(Reason.MALFORMED), id="malformed is dead"
        ),
        pytest.param(
            PLAIN, FIRST, Failure(Cause.TOO_LARGE), Dead(Reason.TOO_LARGE), id="too large is dead"
        ),
        pytest.param(
            PLAIN,
            FIRST,
            Failure(Cause.INVALID_PAYLOAD),
            Dead(Reason.INVALID_PAYLOAD),
            id="an invalid payload is dead without a retry",
        ),
        pytest.param(
            PLAIN, FIRST, Failure(Cause.EXPIRED), Dead(Reason.EXPIRED), id="expired is dead"
        ),
        pytest.param(
            PLAIN, FIRST, Failure(Cause.CONFLICT), Dead(Reason.CONFLICT), id="a conflict is dead"
        ),
        pytest.param(
            PLAIN,
            Attempt(number=0, unhandled_for=899.9),
            Failure(Cause.NO_HANDLER),
            RetryIn(30.0, counted=False),
            id="without a handler it is kept moving, uncounted",
        ),
        pytest.param(
            PLAIN,
            Attempt(number=0, unhandled_for=900.0),
            Failure(Cause.NO_HANDLER),
            Dead(Reason.NO_HANDLER),
            id="without a handler for too long it is dead",
        ),
        pytest.param(
            PLAIN, FIRST, Failure(Cause.REJECTED), Dead(Reason.REJECTED), id="Reject is dead now"
        ),
        pytest.param(
            replace(PLAIN, unrecoverable=(LookupError,)),
            FIRST,
            Failure(Cause.RAISED, types=(ValueError, KeyError)),
            Dead(Reason.UNRECOVERABLE),
            id="an unrecoverable type is dead, its subclasses too, anywhere in a group",
        ),
        pytest.param(
            PLAIN,
            Attempt(number=3),
            Failure(Cause.SNOOZED, after=60.0),
            RetryIn(60.0, counted=False),
            id="Snooze is not counted, also at the last attempt",
        ),
        pytest.param(
            PLAIN,
            FIRST,
            Failure(Cause.SNOOZED, after=0.0),
            RetryIn(1.0, counted=False),
            id="a snooze of nothing is one second",
        ),
        pytest.param(
            PLAIN,
            Attempt(number=1, snoozed=SNOOZE_AT_MOST - 59),
            Failure(Cause.SNOOZED, after=60.0),
            Dead(Reason.TOO_OLD),
            id="snoozing ends after a day in all",
        ),
        pytest.param(PLAIN, FIRST, RAISED, RetryIn(1.0), id="the first failure waits first_delay"),
        pytest.param(PLAIN, Attempt(number=2), RAISED, RetryIn(4.0), id="the second waits longer"),
        pytest.param(
            PLAIN,
            Attempt(number=3),
            RAISED,
            Dead(Reason.ATTEMPTS_SPENT),
            id="attempts are the total number of runs",
        ),
        pytest.param(
            RetryPolicy(attempts=1),
            FIRST,
            RAISED,
            Dead(Reason.ATTEMPTS_SPENT),
            id="one attempt means no retry",
        ),
        pytest.param(
            replace(PLAIN, max_age=60.0),
            Attempt(number=2, age=60.0),
            RAISED,
            Dead(Reason.TOO_OLD),
            id="an age from the first failure can end it before the attempts do",
        ),
        pytest.param(
            PLAIN,
            FIRST,
            Failure(Cause.RAISED, after=7.5, types=(Retry,)),
            RetryIn(7.5),
            id="Retry(after) sets the delay and counts",
        ),
        pytest.param(
            PLAIN,
            FIRST,
            Failure(Cause.RAISED, after=0.0, types=(Retry,)),
            RetryIn(0.0),
            id="Retry(after=0) means at once, not the policy's delay",
        ),
        pytest.param(
            PLAIN,
            Attempt(number=3),
            Failure(Cause.RAISED, after=7.5, types=(Retry,)),
            Dead(Reason.ATTEMPTS_SPENT),
            id="Retry spends attempts like any failure",
        ),
    ],
)
def test_decides(policy: RetryPolicy, attempt: Attempt, failure: Failure, outcome: Outcome) -> None:
    assert decide(policy, attempt, failure, roll=0.0) == outcome


def test_every_cause_has_an_outcome() -> None:
    for cause in Cause:
        assert decide(PLAIN, FIRST, Failure(cause, after=1.0), roll=0.5) is not None


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
    failures=st.integers(1, 10_000),
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


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"attempts": 0}, "attempts"),
        ({"first_delay": -1.0}, "first_delay"),
        ({"first_delay": 5.0, "longest_delay": 1.0}, "longest_delay"),
        ({"factor": 0.5}, "factor"),
        ({"max_age": 0.0}, "max_age"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(arguments: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        RetryPolicy(**arguments)  # type: ignore[arg-type] # wrong on purpose


def test_looking_for_a_handler_gets_quicker_with_a_shorter_patience() -> None:
    assert Patience().no_handler_delay == 30.0
    assert Patience(60.0).no_handler_delay == 2.0


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I will not say")


@pytest.mark.parametrize(
    ("error", "cause", "name"),
    [
        (ValueError("x"), Cause.RAISED, "ValueError"),
        (Retry(after="1m"), Cause.RAISED, "Retry"),
        (Snooze(for_=5), Cause.SNOOZED, "Snooze"),
        (Reject("no"), Cause.REJECTED, "Reject"),
        (SystemExit(1), Cause.RAISED, "SystemExit"),
        (KeyboardInterrupt(), Cause.RAISED, "KeyboardInterrupt"),
        (RecursionError("deep"), Cause.RAISED, "RecursionError"),
        (MemoryError(), Cause.RAISED, "MemoryError"),
        (_Mute(), Cause.RAISED, "_Mute"),
        (ExceptionGroup("g", [ValueError("x"), Reject("no")]), Cause.REJECTED, "Reject"),
        (ExceptionGroup("g", [ValueError("x"), Retry(after=3)]), Cause.RAISED, "Retry"),
        (ExceptionGroup("g", [Snooze(for_=5), ValueError("x")]), Cause.RAISED, "ValueError"),
        (ExceptionGroup("g", [ExceptionGroup("h", [Snooze(for_=5)])]), Cause.SNOOZED, "Snooze"),
        (BaseExceptionGroup("g", [SystemExit(1)]), Cause.RAISED, "SystemExit"),
    ],
)
def test_classifies_whatever_a_handler_raises(
    error: BaseException, cause: Cause, name: str
) -> None:
    failure = classify(error)

    assert (failure.cause, failure.error) == (cause, name)


def test_the_times_of_retry_and_snooze_are_kept() -> None:
    assert classify(Retry(after="1m")).after == 60.0
    assert classify(Snooze(for_="2h")).after == 7200.0
    assert classify(Retry("later")).after is None


def test_the_text_of_an_error_is_bounded() -> None:
    failure = classify(ValueError("x" * 10_000_000))

    assert len(failure.message.encode()) <= TEXT_BYTES
    assert len(failure.traceback.encode()) <= TRACEBACK_BYTES


def test_the_traceback_says_where_it_was_raised() -> None:
    def charge() -> None:
        raise ValueError("card declined")

    failure = _classified(charge)

    assert "in charge" in failure.traceback
    assert "card declined" in failure.traceback


def _classified(function: Callable[[], None]) -> Failure:
    try:
        function()
    except ValueError as error:
        return classify(error)
    raise AssertionError("it raised nothing")
