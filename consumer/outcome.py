"""Where an event stands, and what can become of it: values, and nothing else. PURE."""

from dataclasses import dataclass

from common.deadletter import Reason


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
    """Run it where it can harm nobody else, after `delay` seconds."""

    delay: float = 0.0
    deaths: int = 0
    """Processes that ended while they ran it alone."""


Outcome = Done | RetryIn | Dead | Release | Isolate

Advice = Done | RetryIn | Dead | None
"""What a user's function may answer; None leaves it to the policy."""
