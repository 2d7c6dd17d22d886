"""Retry policies as text, for `TIDINGS_RETRY`: `exponential(1s, 4, 1h), jitter=full`. PURE."""

import re

from common.duration import seconds
from consumer.retrying import JITTERS, Jitter, Options, RetryPolicy

DEFAULT = "exponential(1s, 4, 1h)"
FORMS = (
    "write exponential(1s, 4, 1h), linear(5s, 5s) or delays(1s, 10s, 1m), and after it, if need "
    "be, `, jitter=none|equal|full` and `, max_age=6h`"
)
_CALL = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*(?:,(.*))?", re.DOTALL)
_LINEAR = (2, 3)
_EXPONENTIAL = (1, 3)


def policy_of(text: str, *, attempts: int = 10) -> RetryPolicy:
    """Read a policy. Raises ValueError that says what is wrong and what is right."""
    found = _CALL.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no retry policy; {FORMS}")
    kind, inside, behind = found.groups()
    given = _parts(inside) if inside.strip() else []
    delays = [one for one in given if "=" not in one]
    said = [one for one in given if "=" in one] + (_parts(behind) if behind else [])
    try:
        return _made(kind.lower(), delays, _options(said, attempts))
    except ValueError as error:
        raise ValueError(f"'{text}': {error}; {FORMS}") from None


def _made(kind: str, delays: list[str], options: Options) -> RetryPolicy:
    if kind == "delays":
        return RetryPolicy.delays(*delays, **options)
    if kind == "linear":
        _refuse_unless(len(delays), _LINEAR, "linear takes first, step and, if need be, longest")
        return RetryPolicy.linear(*delays, **options)
    if kind == "exponential":
        _refuse_unless(len(delays), _EXPONENTIAL, "exponential takes first, factor and longest")
        first, *more = delays
        factor = _factor(more[0]) if more else 4.0
        longest = more[1] if more[1:] else None
        return RetryPolicy.exponential(first, factor, longest, **options)
    raise ValueError(f"there is no kind '{kind}'")


def _options(said: list[str], attempts: int) -> Options:
    options: Options = {"attempts": attempts}
    for one in said:
        name, equals, value = (part.strip() for part in one.partition("="))
        if name == "jitter":
            options["jitter"] = _jitter(value)
        elif name == "max_age":
            options["max_age"] = seconds(value)
        elif name == "attempts":
            raise ValueError("how often stands in TIDINGS_ATTEMPTS")
        else:
            raise ValueError(f"there is no option '{name}{equals}{value}'")
    return options


def _jitter(text: str) -> Jitter:
    for one in JITTERS:
        if text == one:
            return one
    raise ValueError(f"jitter is none, equal or full, not '{text}'")


def _parts(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]


def _factor(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"the factor is a number of 1 or more, not '{text}'") from None


def _refuse_unless(count: int, allowed: tuple[int, int], problem: str) -> None:
    if not allowed[0] <= count <= allowed[1]:
        raise ValueError(problem)
