"""`@handler` and `@lifespan`, the checks at registration, and the registry as a value.

The decorators only note what was declared; `load_registry` imports the user's modules and makes a
`Registry` of what they declared. Every mistake is a ConfigError with file:line, what, and remedy.
"""

import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

from common.duration import seconds
from common.errors import ConfigError
from common.modules import load_module, location_of
from consumer.match import is_wildcard, matches, overlap, pattern_problem
from consumer.parameters import Parameters, read_parameters
from consumer.retrying import RetryPolicy

F = TypeVar("F", bound=Callable[..., Any])

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
TYPES_REMEMBERED = 1024
"""Event types whose handler is remembered; senders may invent types without end."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a decorator noted: nothing is checked yet, except that the arguments make sense."""

    pattern: str
    function: Callable[..., Any]
    attempts: int | None
    timeout: float | None
    retry: RetryPolicy | None
    location: str


@dataclass(frozen=True, slots=True)
class Handler:
    """A checked handler with everything that can be known before the first event."""

    pattern: str
    function: Callable[..., Any]
    policy: RetryPolicy
    timeout: float
    parameters: Parameters
    is_async: bool
    location: str
    asks_for_context: bool

    @property
    def name(self) -> str:
        """Module and function, as dead letters and logs say it."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def span(self) -> float:
        """Seconds from its first failure to the end of its last attempt."""
        return self.policy.span + (self.policy.most_attempts - 1) * self.timeout


@dataclass(frozen=True)
class Registry:
    """The handlers of a group: at most one for each event type; an exact type beats a wildcard."""

    handlers: tuple[Handler, ...] = ()
    lifespan: Lifespan | None = None
    _exact: dict[str, Handler] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.handlers:
            if not is_wildcard(one.pattern):
                self._exact[one.pattern] = one
        wild = [one for one in self.handlers if is_wildcard(one.pattern)]

        @lru_cache(maxsize=TYPES_REMEMBERED)
        def by_wildcard(type_: str) -> Handler | None:
            return next((one for one in wild if matches(one.pattern, type_)), None)

        object.__setattr__(self, "_by_wildcard", by_wildcard)

    def find(self, type_: str) -> Handler | None:
        """Return the handler for an event type, if there is one."""
        found: Handler | None = self._exact.get(type_) or self._by_wildcard(type_)  # type: ignore[attr-defined] # set in __post_init__: the class is frozen
        return found

    @property
    def patterns(self) -> tuple[str, ...]:
        """What the group's queue is bound by."""
        return tuple(one.pattern for one in self.handlers)

    @property
    def longest_delay(self) -> float:
        """The longest delay that some policy can ask for."""
        return max((one.policy.longest for one in self.handlers), default=0.0)

    @property
    def longest_span(self) -> float:
        """Seconds from a first failure to the end of the last attempt; see `RetryPolicy.span`."""
        return max((one.span for one in self.handlers), default=0.0)


_declared: list[Declaration] = []
_lifespans: list[tuple[Lifespan, str, str]] = []


def handler(
    pattern: str,
    *,
    attempts: int | None = None,
    timeout: float | str | None = None,
    retry: RetryPolicy | None = None,
) -> Callable[[F], F]:
    """Handle events of this type (`order.created`, `order.*`, `#`), one event a call.

    `attempts` is the total number of tries, `timeout` seconds (or '30s') for one of them, `retry`
    a whole policy; what is not given comes from the environment. Raises ConfigError.
    """

    def declare(function: F) -> F:
        location = location_of(function)
        if problem := pattern_problem(pattern):
            raise ConfigError(f"{location}: @handler: {problem}")
        if attempts is not None and attempts < 1:
            raise ConfigError(
                f"{location}: @handler('{pattern}'): attempts={attempts!r} must be 1 or more"
            )
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise ConfigError(
                f"{location}: @handler('{pattern}'): retry={retry!r} must be a RetryPolicy"
            )
        _declared.append(
            Declaration(
                pattern, function, attempts, _timeout(timeout, pattern, location), retry, location
            )
        )
        return function

    return declare


def lifespan(function: F) -> F:
    """Open what handlers need once per process; what it yields is `ctx.state`.

    An async generator function that yields once, or one already made an async context manager.
    """
    location = location_of(inspect.unwrap(function))
    if inspect.signature(function).parameters:
        raise ConfigError(f"{location}: @lifespan: {function.__name__} must take no parameters")
    if inspect.isasyncgenfunction(function):
        manager: Lifespan = asynccontextmanager(function)
    elif inspect.isasyncgenfunction(inspect.unwrap(function)):
        manager = function
    else:
        raise ConfigError(
            f"{location}: @lifespan: {function.__name__} must be an async generator: "
            "open, `yield` the state, close"
        )
    _lifespans.append((manager, function.__module__, location))
    return function


def load_registry(
    modules: Iterable[str], *, policy: RetryPolicy = RetryPolicy(), timeout: float = 30.0
) -> Registry:
    """Import the modules and register what they, and modules of the same packages, declared.

    Raises ConfigError, with file:line, for everything that is wrong with them.
    """
    names = tuple(modules)
    for name in names:
        load_module(name)
    packages = {name.partition(".")[0] for name in names}

    def ours(module: str) -> bool:
        return module.partition(".")[0] in packages

    declared = [one for one in _declared if ours(one.function.__module__)]
    if not declared:
        raise ConfigError(
            f"{', '.join(names)}: no handler is declared there; write one with "
            '`from tidings import handler` and `@handler("order.created")`'
        )
    spans = {location: manager for manager, module, location in _lifespans if ours(module)}
    if len(spans) > 1:
        raise ConfigError(
            f"two @lifespan, at {' and '.join(list(spans)[:2])}: a process has one; join them"
        )
    return build_registry(
        declared, policy=policy, timeout=timeout, lifespan=next(iter(spans.values()), None)
    )


def declarations_of(function: Callable[..., Any]) -> list[Declaration]:
    """Return what `@handler` noted about one function (for tests of single handlers)."""
    return [one for one in _declared if one.function is function]


def build_registry(
    declared: Iterable[Declaration],
    *,
    policy: RetryPolicy = RetryPolicy(),
    timeout: float = 30.0,
    lifespan: Lifespan | None = None,
) -> Registry:
    """Check declarations one by one and against each other. Raises ConfigError."""
    handlers: list[Handler] = []
    for one in declared:
        for other in handlers:
            _refuse_rivals(one, other)
        handlers.append(_checked(one, policy, timeout))
    return Registry(tuple(handlers), lifespan)


def _checked(one: Declaration, policy: RetryPolicy, timeout: float) -> Handler:
    function = one.function
    kind = inspect.unwrap(function)
    if inspect.isgeneratorfunction(kind) or inspect.isasyncgenfunction(kind):
        raise ConfigError(
            f"{one.location}: handler {function.__name__} is a generator (it yields); "
            "a handler is a plain or async function"
        )
    chosen = one.retry or policy
    if one.attempts is not None:
        chosen = replace(chosen, attempts=one.attempts)
    parameters = read_parameters(function, one.location)
    return Handler(
        pattern=one.pattern,
        function=function,
        policy=chosen,
        timeout=timeout if one.timeout is None else one.timeout,
        parameters=parameters,
        is_async=inspect.iscoroutinefunction(kind),
        location=one.location,
        asks_for_context=parameters.ask_for_context,
    )


def _refuse_rivals(one: Declaration, other: Handler) -> None:
    if one.pattern == other.pattern:
        raise ConfigError(
            f"{one.location}: a second handler for '{one.pattern}' (the first is at "
            f"{other.location}); two things to do for one event are two groups"
        )
    both_wild = is_wildcard(one.pattern) and is_wildcard(other.pattern)
    if both_wild and overlap(one.pattern, other.pattern):
        raise ConfigError(
            f"{one.location}: '{one.pattern}' overlaps '{other.pattern}' at {other.location}: "
            "some event would have two handlers; make one of them narrower"
        )


def _timeout(value: float | str | None, pattern: str, location: str) -> float | None:
    if value is None:
        return None
    try:
        found = seconds(value)
    except ValueError as error:
        raise ConfigError(f"{location}: @handler('{pattern}'): timeout: {error}") from None
    if not found:
        raise ConfigError(f"{location}: @handler('{pattern}'): timeout must be more than 0")
    return found
