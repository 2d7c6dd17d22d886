"""Checks of a retry policy's fields, each by its name. All raise ValueError. PURE."""

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

from common.duration import readable, seconds
from common.topology import LARGEST_TIER
from consumer.exits import Reject, Retry, Snooze

Types = tuple[type[BaseException], ...]


def refuse(problem: str) -> NoReturn:
    """Raise the ValueError that says it."""
    raise ValueError(problem)


def attempts_of(value: object) -> None:
    """Check a number of attempts."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        refuse(f"attempts must be 1 or more (the total), not {value!r}")


def factor_of(value: object) -> None:
    """Check what a delay is multiplied with."""
    if not isinstance(value, int | float) or not 1 <= value < float("inf"):
        refuse(f"factor must be 1 or more, not {value!r}")


def delay_of(name: str, value: float | str) -> float:
    """Return seconds that some delay tier can hold."""
    found = _seconds(name, value)
    if found > LARGEST_TIER:
        refuse(f"{name}: {value!r} is longer than {readable(LARGEST_TIER)}, the longest delay")
    return found


def age_of(value: float | str | None) -> float | None:
    """Return an age in seconds; None is no limit."""
    if value is None:
        return None
    found = _seconds("max_age", value)
    if not found:
        refuse(f"max_age must be more than 0 seconds, not {value!r}")
    return found


def types_of(name: str, found: object) -> Types:
    """Check types of errors. Groups are looked into, and exits have a meaning of their own."""
    if isinstance(found, type):
        found = (found,)
    if not isinstance(found, tuple | list | set | frozenset):
        refuse(f"{name} must be types of errors, such as (ValueError,)")
    for one in found:
        if not isinstance(one, type) or not issubclass(one, BaseException):
            refuse(f"{name}: {one!r} is no type of an error")
        if issubclass(one, BaseExceptionGroup):
            refuse(f"{name}: groups are looked into; name the errors inside")
        if issubclass(one, Reject | Retry | Snooze):
            refuse(f"{name}: {one.__name__} says itself what follows")
    return tuple(found)


def refuse_what_cannot_decide(decide: Callable[..., Any] | None) -> None:
    """Check a user's function: it is asked on the event loop, between two events."""
    if decide is None:
        return
    if not callable(decide):
        refuse("decide must be a function of (attempt, failure)")
    called = getattr(decide, "__call__", None)  # noqa: B004 - the method itself is looked at
    if inspect.iscoroutinefunction(decide) or inspect.iscoroutinefunction(called):
        refuse("decide must be a plain function, not an async one")


def _seconds(name: str, value: float | str) -> float:
    try:
        return seconds(value)
    except ValueError as error:
        refuse(f"{name}: {error}")
