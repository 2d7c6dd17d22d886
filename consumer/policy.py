"""What to do with a delivery: a function of (policy, attempt, failure), and of nothing else. PURE.

No clock, no dice, no I/O: how old an event is, where the dice fell, and what a user's function
advises are arguments. `settle.py` carries the outcome out.
"""

from dataclasses import dataclass

from common.deadletter import Reason
from common.duration import readable, seconds
from common.topology import LARGEST_TIER
from consumer.failure import Cause, Failure
from consumer.outcome import Advice, Attempt, Dead, Done, Isolate, Outcome, Release, RetryIn
from consumer.retrying import RetryPolicy

SNOOZE_AT_LEAST = 1.0
"""Seconds: a snooze of nothing would go round for ever, as it counts as no attempt."""
SNOOZE_AT_MOST = 24 * 3600.0
"""Seconds an event may be snoozed in all; longer than that is a decision for a person."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an event without a handler is kept moving: a rolling deploy has old replicas."""

    no_handler_for: float = 900.0

    @property
    def no_handler_delay(self) -> float:
        """Seconds between two looks for a handler."""
        return min(30.0, self.no_handler_for / 30)


_DEAD_AT_ONCE = {
    Cause.CRASHED: Reason.CRASHED,
    Cause.MALFORMED: Reason.MALFORMED,
    Cause.TOO_LARGE: Reason.TOO_LARGE,
    Cause.INVALID_PAYLOAD: Reason.INVALID_PAYLOAD,
    Cause.EXPIRED: Reason.EXPIRED,
    Cause.STALE: Reason.TOO_OLD,
    Cause.CONFLICT: Reason.CONFLICT,
    Cause.REJECTED: Reason.REJECTED,
}


def decide(
    policy: RetryPolicy,
    attempt: Attempt,
    failure: Failure,
    *,
    roll: float,
    patience: Patience = Patience(),
    advice: Advice = None,
) -> Outcome:
    """Decide about a failed delivery. The order of the questions is the order of the cases.

    `roll` in [0, 1) is where the dice fell; `advice` what the user's function said, which was asked
    only where `advisable`. Attempts, ages and the longest snooze hold for its retries too.
    """
    if failure.cause is Cause.INTERRUPTED:
        return Release()
    if failure.cause is Cause.SUSPECT:
        return Isolate()
    if reason := _DEAD_AT_ONCE.get(failure.cause):
        return Dead(reason)
    if failure.cause is Cause.NO_HANDLER:
        if attempt.unhandled_for >= patience.no_handler_for:
            return Dead(Reason.NO_HANDLER)
        return RetryIn(patience.no_handler_delay, counted=False)
    if failure.cause is Cause.SNOOZED:
        return _snoozed(failure.after or 0.0, attempt)
    if policy.gives_up_on(failure.types):
        return Dead(Reason.UNRECOVERABLE)
    return _tried_again(policy.for_types(failure.types), attempt, failure.after, roll, advice)


def advisable(policy: RetryPolicy, failure: Failure) -> bool:
    """Whether a user's function is asked: about errors that no other rule decides."""
    return failure.cause is Cause.RAISED and not policy.gives_up_on(failure.types)


def understood(answer: object) -> Advice:
    """Read what a user's function has answered. Raises ValueError for what is no answer."""
    match answer:
        case None | Done() | Dead(reason=Reason()):
            return answer
        case RetryIn(delay=delay, counted=bool(counted)):
            wanted = seconds(delay)
            if wanted > LARGEST_TIER:
                raise ValueError(f"no delay is longer than {readable(LARGEST_TIER)}")
            return RetryIn(wanted, counted)
    raise ValueError(
        f"it answered with {type(answer).__qualname__}; answer with RetryIn(seconds), "
        "Dead(Reason.…), Done(), or None to leave it to the policy"
    )


def _tried_again(
    policy: RetryPolicy, attempt: Attempt, after: float | None, roll: float, advice: Advice
) -> Outcome:
    match advice:
        case Done() | Dead():
            return advice
        case RetryIn(delay=delay, counted=False):
            return _snoozed(delay, attempt)
        case RetryIn(delay=delay):
            after = delay
        case None:
            pass
    if attempt.number >= policy.attempts:
        return Dead(Reason.ATTEMPTS_SPENT)
    if policy.max_age is not None and attempt.age >= policy.max_age:
        return Dead(Reason.TOO_OLD)
    return RetryIn(policy.delay(attempt.number, roll) if after is None else after)


def _snoozed(wanted: float, attempt: Attempt) -> Outcome:
    wanted = max(wanted, SNOOZE_AT_LEAST)
    if attempt.snoozed + wanted > SNOOZE_AT_MOST:
        return Dead(Reason.TOO_OLD)
    return RetryIn(wanted, counted=False)
