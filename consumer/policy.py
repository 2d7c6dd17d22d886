"""What to do with a delivery: a function of (policy, attempt, failure), and of nothing else. PURE.

No clock, no dice, no I/O: how old an event is and where the dice fell are arguments. `settle.py`
carries the outcome out.
"""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from common.deadletter import TRACEBACK_BYTES, Reason, clipped
from common.duration import readable
from consumer.exits import Reject, Retry, Snooze

Jitter = Literal["none", "equal", "full"]

SNOOZE_AT_LEAST = 1.0
"""Seconds: a snooze of nothing would go round for ever, as it counts as no attempt."""
SNOOZE_AT_MOST = 24 * 3600.0
"""Seconds an event may be snoozed in all; longer than that is a decision for a person."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a failed event is tried again; times in seconds.

    `attempts` is the total number of times a handler is started. The delay after the n-th failure
    is min(longest_delay, first_delay * factor^(n-1)), spread by the jitter: `equal` keeps at least
    half of it, `full` any part, `none` all of it. `max_age` counts from the first failure.
    """

    attempts: int = 10
    first_delay: float = 1.0
    factor: float = 4.0
    longest_delay: float = 3600.0
    jitter: Jitter = "equal"
    max_age: float | None = None
    unrecoverable: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be meant. Raises ValueError naming the field."""
        if self.attempts < 1:
            raise ValueError(f"attempts must be 1 or more (the total), not {self.attempts!r}")
        if self.first_delay < 0 or self.longest_delay < self.first_delay:
            raise ValueError("first_delay must be 0 or more, and longest_delay not below it")
        if self.factor < 1:
            raise ValueError(f"factor must be 1 or more, not {self.factor!r}")
        if self.max_age is not None and self.max_age <= 0:
            raise ValueError(f"max_age must be more than 0 seconds, not {self.max_age!r}")

    def delay(self, failures: int, roll: float) -> float:
        """Seconds to wait after the n-th failure; `roll` in [0, 1) is where the dice fell."""
        # factor^(n-1) can exceed what a float holds long before n is large
        exponent = min(failures - 1, 64)
        full = min(self.longest_delay, self.first_delay * self.factor**exponent)
        match self.jitter:
            case "none":
                return full
            case "equal":
                return full / 2 + roll * full / 2
            case "full":
                return roll * full

    @property
    def longest(self) -> float:
        """The longest delay this policy can ask for: which delay tiers it needs."""
        if self.attempts == 1:
            return 0.0
        exponent = min(self.attempts - 2, 64)
        return min(self.longest_delay, self.first_delay * self.factor**exponent)

    def __str__(self) -> str:
        if self.attempts == 1:
            return "1 attempt"
        spread = f"{readable(self.first_delay)}-{readable(self.longest)}"
        return f"{self.attempts} attempts, {spread}, jitter {self.jitter}"


class Cause(Enum):
    """What kept an event from being handled."""

    INTERRUPTED = auto()
    """By our own shutdown or a lost connection."""
    SUSPECT = auto()
    """It was in the hands of a process that died."""
    MALFORMED = auto()
    TOO_LARGE = auto()
    INVALID_PAYLOAD = auto()
    EXPIRED = auto()
    CONFLICT = auto()
    """The id belongs to another event already."""
    NO_HANDLER = auto()
    REJECTED = auto()
    SNOOZED = auto()
    RAISED = auto()
    """Any other error, a timeout and `Retry` among them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a delivery was not handled, in a form that can be logged, stored and decided upon."""

    cause: Cause
    error: str = ""
    message: str = ""
    raised: BaseException | None = field(default=None, compare=False, repr=False)
    after: float | None = None
    """Seconds the handler asked for, by `Retry` or `Snooze`."""
    types: tuple[type[BaseException], ...] = ()
    """Types of all errors, those inside groups too."""

    @property
    def traceback(self) -> str:
        """Where it was raised; written for who asks, as it takes longer than the retry itself."""
        return "" if self.raised is None else _trace(self.raised)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Where an event stands; times in seconds."""

    number: int
    """Handlers started for it, this one included."""
    age: float = 0.0
    """Since its first failure."""
    snoozed: float = 0.0
    unhandled_for: float = 0.0
    """Since when no handler was found for its type."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an event without a handler is kept moving: a rolling deploy has old replicas."""

    no_handler_for: float = 900.0

    @property
    def no_handler_delay(self) -> float:
        """Seconds between two looks for a handler."""
        return min(30.0, self.no_handler_for / 30)


@dataclass(frozen=True, slots=True)
class Done:
    """Handled."""


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again after `delay` seconds; `counted` says whether it was an attempt."""

    delay: float
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """Set aside."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Release:
    """Hand back to the queue: not the event's fault."""


@dataclass(frozen=True, slots=True)
class Isolate:
    """Run it where it can harm nobody else."""


Outcome = Done | RetryIn | Dead | Release | Isolate


_DEAD_AT_ONCE = {
    Cause.MALFORMED: Reason.MALFORMED,
    Cause.TOO_LARGE: Reason.TOO_LARGE,
    Cause.INVALID_PAYLOAD: Reason.INVALID_PAYLOAD,
    Cause.EXPIRED: Reason.EXPIRED,
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
) -> Outcome:
    """Decide about a failed delivery. The order of the questions is the order of the cases."""
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
    if any(issubclass(kind, policy.unrecoverable) for kind in failure.types):
        return Dead(Reason.UNRECOVERABLE)
    if failure.cause is Cause.SNOOZED:
        wanted = max(failure.after or 0.0, SNOOZE_AT_LEAST)
        if attempt.snoozed + wanted > SNOOZE_AT_MOST:
            return Dead(Reason.TOO_OLD)
        return RetryIn(wanted, counted=False)
    if attempt.number >= policy.attempts:
        return Dead(Reason.ATTEMPTS_SPENT)
    if policy.max_age is not None and attempt.age >= policy.max_age:
        return Dead(Reason.TOO_OLD)
    return RetryIn(policy.delay(attempt.number, roll) if failure.after is None else failure.after)


def classify(error: BaseException) -> Failure:
    """Say what an exception of a handler means; looks inside exception groups.

    In a group the strongest word wins: `Reject`, then `Retry`, then any error; `Snooze` only where
    nothing else was raised.
    """
    leaves = tuple(_leaves(error))
    reject = next((leaf for leaf in leaves if isinstance(leaf, Reject)), None)
    retry = next((leaf for leaf in leaves if isinstance(leaf, Retry)), None)
    plain = next((leaf for leaf in leaves if not isinstance(leaf, Reject | Retry | Snooze)), None)
    snooze = next((leaf for leaf in leaves if isinstance(leaf, Snooze)), None)
    if reject is not None:
        return _failure(Cause.REJECTED, reject, leaves)
    if retry is not None:
        return _failure(Cause.RAISED, retry, leaves, after=retry.after)
    if plain is None and snooze is not None:
        return _failure(Cause.SNOOZED, snooze, leaves, after=snooze.for_)
    return _failure(Cause.RAISED, plain or error, leaves, shown=error)


def _failure(
    cause: Cause,
    error: BaseException,
    leaves: tuple[BaseException, ...],
    *,
    after: float | None = None,
    shown: BaseException | None = None,
) -> Failure:
    return Failure(
        cause=cause,
        error=type(error).__qualname__,
        message=clipped(_text(error)),
        raised=shown or error,
        after=after,
        types=tuple(type(leaf) for leaf in leaves),
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _text(error: BaseException) -> str:
    """An exception's text; its own `__str__` may raise."""
    try:
        return str(error)
    except Exception as inner:  # noqa: BLE001 - whatever a user's __str__ raises
        return f"(its text cannot be had: {type(inner).__qualname__})"


def _trace(error: BaseException) -> str:
    try:
        return clipped("".join(traceback.format_exception(error)), TRACEBACK_BYTES)
    except Exception:  # noqa: BLE001 - an exception that cannot be printed must not lose the event
        return "(no traceback can be had)"
