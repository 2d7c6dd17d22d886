"""Why a delivery was not handled, and what an exception of a handler means. PURE."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from common.deadletter import TRACEBACK_BYTES, clipped
from common.duration import seconds
from consumer.exits import Reject, Retry, Snooze


class Cause(Enum):
    """What kept an event from being handled."""

    INTERRUPTED = auto()
    """By our own shutdown or a lost connection."""
    SUSPECT = auto()
    """It was in the hands of a process that died."""
    CRASHED = auto()
    """It killed its process when it ran alone."""
    MALFORMED = auto()
    TOO_LARGE = auto()
    INVALID_PAYLOAD = auto()
    EXPIRED = auto()
    STALE = auto()
    """Older than the consumer wants them."""
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
    """The exception's type; in a group, that of the error which counts."""
    message: str = ""
    raised: BaseException | None = field(default=None, compare=False, repr=False)
    after: float | None = None
    """Seconds the handler asked for, by `Retry` or `Snooze`."""
    types: tuple[type[BaseException], ...] = ()
    """Types of all errors in their order, those inside groups too; exits such as Retry left out."""

    @property
    def traceback(self) -> str:
        """Where it was raised; written for who asks, as it takes longer than the retry itself."""
        return "" if self.raised is None else _trace(self.raised)


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
        return _failure(Cause.RAISED, retry, leaves, after=_asked(retry.after))
    if plain is None and snooze is not None:
        return _failure(Cause.SNOOZED, snooze, leaves, after=_asked(snooze.for_))
    return _failure(Cause.RAISED, plain or error, leaves, shown=error)


def _failure(
    cause: Cause,
    error: BaseException,
    leaves: tuple[BaseException, ...],
    *,
    after: float | None = None,
    shown: BaseException | None = None,
) -> Failure:
    kinds = dict.fromkeys(type(one) for one in leaves if not isinstance(one, _EXITS))
    return Failure(
        cause=cause,
        error=clipped(type(error).__qualname__),
        message=_text(error),
        raised=shown or error,
        after=after,
        types=tuple(kinds),
    )


_EXITS = (Reject, Retry, Snooze)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside groups, in their order; groups may lie deeper than a stack is."""
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(reversed(one.exceptions))
        else:
            yield one


def _asked(value: float | str | None) -> float | None:
    """Read the time of an exit; a user's subclass may have put there what is none."""
    try:
        return None if value is None else seconds(value)
    except ValueError:
        return None


def _text(error: BaseException) -> str:
    """An exception's text, bounded; its own `__str__` may raise whatever it likes."""
    try:
        return clipped(str(error))
    except BaseException as inner:  # noqa: BLE001 - a SystemExit of __str__ must not end the consumer
        return clipped(f"(its text cannot be had: {type(inner).__qualname__})")


def _trace(error: BaseException) -> str:
    try:
        return clipped("".join(traceback.format_exception(error)), TRACEBACK_BYTES)
    except BaseException:  # noqa: BLE001 - an exception that cannot be printed must not lose the event
        return "(no traceback can be had)"
