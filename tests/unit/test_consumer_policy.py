"""What becomes of a failed delivery, as tables: no broker, no clock, no dice."""

from dataclasses import replace

import pytest

from common.deadletter import Reason
from consumer.failure import Cause, Failure
from consumer.outcome import Attempt, Dead, Isolate, Outcome, Release, RetryIn
from consumer.policy import SNOOZE_AT_MOST, Patience, decide
from consumer.retrying import RetryPolicy
from tidings import Retry

PLAIN = RetryPolicy(attempts=3, jitter="none")
MIXED = replace(
    PLAIN,
    unrecoverable=(KeyError,),
    for_errors={
        ConnectionError: RetryPolicy(
            attempts=5, first_delay=9, longest_delay=9, factor=1, jitter="none"
        ),
        ValueError: RetryPolicy(attempts=1),
    },
)
RAISED = Failure(Cause.RAISED, types=(RuntimeError,))
FIRST = Attempt(number=1)


@pytest.mark.parametrize(
    ("policy", "attempt", "failure", "outcome"),
    [
        pytest.param(PLAIN, FIRST, Failure(Cause.INTERRUPTED), Release(), id="shutdown releases"),
        pytest.param(
            PLAIN,
            FIRST,
            Failure(Cause.CRASHED),
            Dead(Reason.CRASHED),
            id="what kills its process when it runs alone is dead at once",
        ),
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
        pytest.param(
            MIXED,
            Attempt(number=4),
            Failure(Cause.RAISED, types=(ConnectionResetError,)),
            RetryIn(9.0),
            id="a type of errors has its own delays and attempts",
        ),
        pytest.param(
            MIXED,
            Attempt(number=5),
            Failure(Cause.RAISED, types=(ConnectionResetError,)),
            Dead(Reason.ATTEMPTS_SPENT),
            id="and its own end",
        ),
        pytest.param(
            MIXED,
            FIRST,
            Failure(Cause.RAISED, types=(ValueError, ConnectionError)),
            Dead(Reason.ATTEMPTS_SPENT),
            id="in a group the first error that has a policy decides",
        ),
        pytest.param(
            MIXED,
            FIRST,
            Failure(Cause.RAISED, types=(ConnectionError, KeyError)),
            Dead(Reason.UNRECOVERABLE),
            id="unrecoverable beats the policies of types",
        ),
        pytest.param(
            MIXED,
            FIRST,
            Failure(Cause.SNOOZED, after=5.0),
            RetryIn(5.0, counted=False),
            id="Snooze has no type that a policy could be for",
        ),
    ],
)
def test_decides(policy: RetryPolicy, attempt: Attempt, failure: Failure, outcome: Outcome) -> None:
    assert decide(policy, attempt, failure, roll=0.0) == outcome


def test_every_cause_has_an_outcome() -> None:
    for cause in Cause:
        assert decide(PLAIN, FIRST, Failure(cause, after=1.0), roll=0.5) is not None


def test_looking_for_a_handler_gets_quicker_with_a_shorter_patience() -> None:
    assert Patience().no_handler_delay == 30.0
    assert Patience(60.0).no_handler_delay == 2.0
