"""What `@source` accepts, and how it says no: always with file:line and the remedy."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.event import Event
from producer.calling import events_of, stream_of
from producer.schedule import Every, Tick
from producer.source import Source, build_sources, declarations_of, load_sources, source
from producer.source_context import SourceContext
from support.names import Names

TICK = Tick(7, 7_000_000)
A, B = Event("a"), Event("b")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.fixture
def name(names: Names) -> str:
    """A module name that no other test has imported."""
    return f"user_{names.suffix}"


def only(function: object) -> Source:
    assert callable(function)
    (found,) = build_sources(declarations_of(function))
    return found


async def made_by(one: Source) -> list[Event]:
    return [event async for event in events_of(one, TICK)]


# --- the shapes that are allowed ----------------------------------------------------------------


async def test_every_shape_of_a_scheduled_source_makes_its_events() -> None:
    @source(every="5s")
    def plain() -> Event:
        return A

    @source(every="5s")
    def plain_list() -> list[Event]:
        return [A, B]

    @source(every="5s")
    def nothing() -> None:
        return None

    @source(every="5s")
    def generator() -> Iterator[Event]:
        yield A
        yield B

    @source(every=5)
    async def coroutine() -> Event:
        return A

    @source(every=5)
    async def coroutine_list() -> list[Event]:
        return [B, A]

    @source(every=5.0)
    async def async_generator() -> AsyncIterator[Event]:
        yield A
        yield B

    assert await made_by(only(plain)) == [A]
    assert await made_by(only(plain_list)) == [A, B]
    assert await made_by(only(nothing)) == []
    assert await made_by(only(generator)) == [A, B]
    assert await made_by(only(coroutine)) == [A]
    assert await made_by(only(coroutine_list)) == [B, A]
    assert await made_by(only(async_generator)) == [A, B]


async def test_a_source_that_asks_for_the_tick_gets_it() -> None:
    @source(every="1s")
    def asks(tick: Tick, limit: int = 3) -> Event:
        return Event("asked", [tick.number, limit])

    @source(every="1s")
    async def asks_quoted(tick: "Tick") -> Event:
        return Event("asked", tick.time.isoformat())

    assert [event.data for event in await made_by(only(asks))] == [[7, 3]]
    assert [event.data for event in await made_by(only(asks_quoted))] == [
        "1970-01-01T00:00:07+00:00"
    ]


@pytest.mark.parametrize("made", [{"type": "a"}, "a", 7, [A, None]])
async def test_anything_but_events_is_refused_with_the_place_of_the_source(made: object) -> None:
    @source(every="5s")
    def wrong() -> object:
        return made

    with pytest.raises(TypeError, match=r"test_producer_sources.py:\d+: source '.*wrong' made a "):
        await made_by(only(wrong))


def test_the_decorator_leaves_the_function_as_it_is() -> None:
    def function() -> Event:
        return A

    assert source(every="5s")(function) is function


def test_a_stream_can_be_marked_with_and_without_brackets() -> None:
    @source
    async def bare() -> AsyncIterator[Event]:
        yield A

    @source()
    async def called() -> AsyncIterator[Event]:
        yield A

    assert only(bare).timing is None
    assert only(bare).schedule is None
    assert only(called).timing is None


async def test_a_stream_that_asks_for_its_context_gets_it() -> None:
    @source
    async def asks(context: SourceContext, limit: int = 3) -> AsyncIterator[Event]:
        yield Event("asked", [context.cursor, limit])

    @source
    async def does_not() -> AsyncIterator[Event]:
        yield A

    context = SourceContext("shop.asks", cursor=7)

    assert [made async for made in stream_of(only(asks), context)] == [[Event("asked", [7, 3])]]
    assert [made async for made in stream_of(only(does_not), context)] == [[A]]
    assert (only(asks).takes_context, only(asks).takes_tick) == (True, False)
    assert not only(does_not).takes_context


# --- the shapes that are not --------------------------------------------------------------------


def test_a_source_without_schedule_must_be_an_endless_async_generator() -> None:
    def plain() -> Event:
        return A

    with pytest.raises(ConfigError, match=r"\.py:\d+: .* has no schedule .* add every=\"5s\""):
        source(plain)


def test_a_wrong_interval_is_told_at_the_function() -> None:
    def plain() -> Event:
        return A

    with pytest.raises(ConfigError, match=r"\.py:\d+: @source: every='often': 'often' is not a "):
        source(every="often")(plain)


def test_an_interval_given_by_position_is_told_with_the_right_way() -> None:
    with pytest.raises(ConfigError, match=r"write @source\(every='5s'\)"):
        source("5s")  # type: ignore[call-overload]


def test_a_parameter_that_nobody_can_fill_is_refused() -> None:
    @source(every="5s")
    def wants_session(session: object) -> Event:
        return A

    @source(every="5s")
    def wants_more(tick: Tick, session: object) -> Event:
        return A

    @source(every="5s")
    def wants_context(context: SourceContext) -> Event:
        return A

    @source
    async def wants_tick(tick: Tick) -> AsyncIterator[Event]:
        yield A

    tick, context = "schedule may .* `Tick`", "stream may .* `SourceContext`"
    for function, parameter, allowed in [
        (wants_session, "session", tick),
        (wants_more, "session", tick),
        (wants_context, "context", tick),
        (wants_tick, "tick", context),
    ]:
        problem = rf"\.py:\d+: .* a parameter '{parameter}' that nobody can fill; .* {allowed}"
        with pytest.raises(ConfigError, match=problem):
            only(function)


# --- loading ------------------------------------------------------------------------------------

TWO_SOURCES = """
from producer.source import source
from common.event import Event

@source(every="5s")
def first():
    return Event("first")

@source
async def second():
    yield Event("second")
"""


def test_the_sources_of_a_module_are_loaded_in_their_order(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text(TWO_SOURCES)

    first, second = load_sources([name])

    assert (first.name, first.schedule, first.where) == (
        f"{name}.first",
        Every(5_000_000),
        f"{name}.py:5",
    )
    assert (second.name, second.schedule, second.where) == (f"{name}.second", None, f"{name}.py:9")


def test_a_package_brings_what_it_imports_of_itself_and_nothing_else(here: Path, name: str) -> None:
    (here / f"{name}_other.py").write_text(TWO_SOURCES)
    (here / name).mkdir()
    (here / name / "__init__.py").write_text(f"import {name}_other\nfrom . import inner\n")
    (here / name / "inner.py").write_text(TWO_SOURCES)

    assert [one.name for one in load_sources([name])] == [
        f"{name}.inner.first",
        f"{name}.inner.second",
    ]


def test_modules_without_a_source_are_refused(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("")

    with pytest.raises(ConfigError, match=rf"^{name}: no source is declared there; write one"):
        load_sources([name])


def test_two_sources_of_one_name_are_refused(here: Path, name: str) -> None:
    """Their events would have the same ids."""
    (here / f"{name}.py").write_text(
        "from producer.source import source\n"
        "for _ in range(2):\n"
        "    @source(every='5s')\n"
        "    def twin(): ...\n"
    )

    with pytest.raises(ConfigError, match=r"\.py:3: source '.*twin' is declared at .*\.py:3 too"):
        load_sources([name])


def test_an_annotation_that_cannot_be_read_is_refused(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text(
        "from __future__ import annotations\n"
        "from producer.source import source\n"
        "@source(every='5s')\n"
        "def one(tick: Tick): ...\n"
    )

    with pytest.raises(ConfigError, match=r"\.py:3: .* annotation cannot be read: name 'Tick' is"):
        load_sources([name])
