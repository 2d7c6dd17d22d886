"""`@source`: functions that make events, found in the modules that the producer is told to load.

    @source(every="5s")                      # called at each tick
    def prices() -> list[Event]: ...

    @source(cron="30 2 * * *", timezone="Europe/Berlin", missed="once")
    def report(tick: Tick) -> Event: ...

    @source                                  # a stream: runs as long as the producer
    async def changes(context: SourceContext) -> AsyncIterator[Event]:
        ...
        yield Event("file.changed", {...})

The decorator returns the function as it is and notes a declaration; nothing is started by it.
`load_sources` turns the declarations of the named modules into a value that `Main` gets.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints, overload

from common.errors import ConfigError
from common.modules import load_module, location_of
from producer.schedule import Schedule, Tick
from producer.source_context import SourceContext
from producer.ticks import Timing
from producer.timing_arguments import TimingArguments

SourceFunction = Callable[..., Any]
"""Makes events: returns or yields `Event`s. What it may look like is checked, with file:line."""

F = TypeVar("F", bound=SourceFunction)

HIGHEST_PRIORITY = 31


@dataclass(frozen=True, slots=True)
class SourceDeclaration:
    """What the decorator was told. `where` is file:line of the function."""

    function: SourceFunction
    timing: Timing | None
    name: str
    where: str
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A checked source. `timing` None: a stream. `takes_…`: what it wants passed."""

    function: SourceFunction
    timing: Timing | None
    name: str
    where: str
    takes_tick: bool = False
    takes_context: bool = False
    priority: int | None = None
    """0 to 31, of its events; None: as if 0, and the message says nothing."""

    @property
    def schedule(self) -> Schedule | None:
        """When its ticks are due."""
        return None if self.timing is None else self.timing.schedule

    def __str__(self) -> str:
        return f"{self.name} ({self.timing or 'stream'})"


Sources = tuple[Source, ...]

_declared: list[SourceDeclaration] = []
"""What was declared in this process, in the order of imports; only `load_sources` reads it."""


@overload
def source(function: F, /) -> F: ...
@overload
def source(
    *,
    every: str | float | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    offset: str | float | None = None,
    jitter: str | float | None = None,
    missed: str = "skip",
    name: str | None = None,
    priority: int | None = None,
) -> Callable[[F], F]: ...
def source(  # noqa: PLR0913 - all by name, and most are left out
    function: Any = None,
    /,
    *,
    every: str | float | None = None,
    cron: str | None = None,
    timezone: str | None = None,
    offset: str | float | None = None,
    jitter: str | float | None = None,
    missed: str = "skip",
    name: str | None = None,
    priority: int | None = None,
) -> Any:
    """Declare a source.

    With `every` (`"5s"`, `"250ms"`, or seconds) or `cron` (`"30 2 * * *"`, in `timezone`, by
    default UTC) the function is called at each tick and returns an `Event`, a list of them or
    None, or is a generator of them; plain functions run in a thread. It may have one parameter,
    annotated `Tick`. Without them it is an endless async generator, which may have one parameter,
    annotated `SourceContext`.

    `offset` shifts the grid of `every`, `jitter` makes each tick later by up to so much. `missed`
    says what becomes of ticks that could not be made in time: `skip`, `once` (the newest is made,
    also after a restart), `catch_up(100)` (the 100 newest are).

    `name` (by default module.function) is part of the ids of its events: give one to keep the ids
    when the function moves. `priority` (0 to 31) is that of its events. Raises ConfigError with
    file:line.
    """
    arguments = TimingArguments(
        every=every, cron=cron, timezone=timezone, offset=offset, jitter=jitter, missed=missed
    )

    def declare(function: F) -> F:
        where = location_of(function)
        full_name = _checked_name(name or _name_of(function), where)
        try:
            timing = arguments.read(full_name)
        except ValueError as error:
            raise ConfigError(f"{where}: @source: {error}") from None
        _check_function(function, where, timed=timing is not None)
        _check_priority(priority, where)
        _declared.append(SourceDeclaration(function, timing, full_name, where, priority))
        return function

    if function is not None and not callable(function):  # @source("5s")
        raise ConfigError(
            f"@source takes no positional argument; write @source(every={function!r})"
        )
    return declare if function is None else declare(function)


def load_sources(modules: Iterable[str]) -> Sources:
    """Import the modules; return the sources that they, and modules of the same packages, declared.

    Raises ConfigError, with file:line, for a module that cannot be imported, a wrong parameter,
    two sources of one name, and when there is no source at all.
    """
    names = tuple(modules)
    for name in names:
        load_module(name)
    # Not whatever the imports brought along: a helper taken from another service's package must
    # not start that service's sources here.
    packages = {name.partition(".")[0] for name in names}
    found = [one for one in _declared if _home(one.function).partition(".")[0] in packages]
    if not found:
        message = (
            f"{', '.join(names)}: no source is declared there; write one with "
            '`from tidings import source` and `@source(every="5s")`'
        )
        raise ConfigError(message)
    return build_sources(found)


def declarations_of(function: SourceFunction) -> list[SourceDeclaration]:
    """Return what `@source` noted about one function (for tests of single sources)."""
    return [one for one in _declared if one.function is function]


def build_sources(declared: Iterable[SourceDeclaration]) -> Sources:
    """Check declarations one by one and against each other. Raises ConfigError."""
    found = tuple(_built(one) for one in declared)
    _refuse_same_names(found)
    return found


def _built(one: SourceDeclaration) -> Source:
    timed = one.timing is not None
    takes = _takes_first(one, Tick if timed else SourceContext)
    return Source(
        one.function,
        one.timing,
        one.name,
        one.where,
        takes_tick=takes and timed,
        takes_context=takes and not timed,
        priority=one.priority,
    )


def _check_function(function: SourceFunction, where: str, *, timed: bool) -> None:
    if not timed and not inspect.isasyncgenfunction(inspect.unwrap(function)):
        message = (
            f"{where}: source '{_name_of(function)}' has no schedule and is no async generator; "
            'add every="5s" to be called at each tick, or make it `async def` with `yield`'
        )
        raise ConfigError(message)


def _check_priority(priority: object, where: str) -> None:
    if priority is None or (type(priority) is int and 0 <= priority <= HIGHEST_PRIORITY):
        return
    raise ConfigError(
        f"{where}: @source: priority={priority!r}; write a whole number from 0 to "
        f"{HIGHEST_PRIORITY}, the most urgent"
    )


def _checked_name(name: str, where: str) -> str:
    if not name.isprintable():
        raise ConfigError(f"{where}: source name {name!r} holds characters that cannot be printed")
    return name


def _name_of(function: SourceFunction) -> str:
    plain = inspect.unwrap(function)
    return f"{plain.__module__}.{getattr(plain, '__qualname__', type(plain).__qualname__)}"


def _home(function: SourceFunction) -> str:
    """Name the module that it is written in."""
    return str(inspect.unwrap(function).__module__)


def _takes_first(declaration: SourceDeclaration, wanted: type) -> bool:
    """Whether its first parameter is annotated so. Raises for others that have no default."""
    parameters = [
        one
        for one in inspect.signature(declaration.function).parameters.values()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    takes = bool(
        parameters
        and parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY
        and _annotation(declaration, parameters[0].name) is wanted
    )
    for one in parameters[takes:]:
        if one.default is one.empty:
            kind = "stream" if declaration.timing is None else "source with a schedule"
            message = (
                f"{declaration.where}: source '{declaration.name}' has a parameter '{one.name}' "
                f"that nobody can fill; a {kind} may have one, the first, annotated "
                f"`{wanted.__name__}`"
            )
            raise ConfigError(message)
    return takes


def _annotation(declaration: SourceDeclaration, parameter: str) -> object:
    try:
        hints = get_type_hints(inspect.unwrap(declaration.function))
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        message = (
            f"{declaration.where}: source '{declaration.name}': an annotation cannot be read: "
            f"{error}; import what it names, not only under TYPE_CHECKING"
        )
        raise ConfigError(message) from None
    return hints.get(parameter)


def _refuse_same_names(sources: Sources) -> None:
    """Two sources of one name would make events of the same ids."""
    places: dict[str, str] = {}
    for one in sources:
        if one.name in places:
            message = (
                f"{one.where}: source '{one.name}' is declared at {places[one.name]} too; "
                'give one of them another name: @source(name="…")'
            )
            raise ConfigError(message)
        places[one.name] = one.where
