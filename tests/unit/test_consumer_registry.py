"""Everything that can be wrong with handlers is found at registration, with file:line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from common.errors import ConfigError
from consumer.registry import Registry, load_registry
from consumer.retrying import RetryPolicy

HEAD = """\
from dataclasses import dataclass
from pydantic import BaseModel
from tidings import Context, Event, RetryPolicy, handler, lifespan

"""
FIRST_LINE = 5


@pytest.fixture
def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[object]:
    """Write a module of its own name, and load the registry of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"shop_{abs(hash(request.node.nodeid))}"

    def loaded(body: str) -> Registry:
        (tmp_path / f"{name}.py").write_text(HEAD + dedent(body))
        return load_registry([name])

    yield loaded
    sys.modules.pop(name, None)


def test_handlers_are_found_with_their_settings(load: object) -> None:
    registry = load(  # type: ignore[operator] # the fixture
        """\
        @handler("order.created", attempts=3, timeout="5s")
        async def charge(event: Event) -> None: ...

        @handler("invoice.*", retry=RetryPolicy(attempts=7, jitter="none"))
        @handler("bill.*")
        def write(event: Event, ctx: Context) -> None: ...
        """
    )

    assert isinstance(registry, Registry)
    one = registry.find("order.created")
    assert one is not None
    assert (one.policy, one.timeout, one.is_async) == (RetryPolicy(attempts=3), 5.0, True)
    assert one.name.endswith(".charge")
    two = registry.find("invoice.paid")
    assert two is not None
    assert (two.policy.attempts, two.policy.jitter, two.is_async) == (7, "none", False)
    assert registry.find("bill.sent") is not None
    assert registry.find("order.paid") is None
    assert set(registry.patterns) == {"order.created", "invoice.*", "bill.*"}


def test_spans_and_delays_are_those_of_the_slowest_handler(load: object) -> None:
    registry = load(  # type: ignore[operator] # the fixture
        """\
        @handler("a", attempts=3, timeout=5, retry=RetryPolicy.delays("1s", "1m"))
        async def one(event: Event) -> None: ...
        @handler("b", attempts=1, timeout=500)
        async def two(event: Event) -> None: ...
        """
    )

    assert registry.longest_delay == 60
    assert registry.longest_span == 1 + 64 + 2 * 5
    assert Registry().longest_span == 0


MISTAKES = {
    "two handlers for one type": (
        """\
        @handler("a.b")
        async def one(event: Event) -> None: ...
        @handler("a.b")
        async def two(event: Event) -> None: ...
        """,
        2,
        ["second handler for 'a.b'", "two groups"],
    ),
    "overlapping wildcards": (
        """\
        @handler("a.*")
        async def one(event: Event) -> None: ...
        @handler("*.b")
        async def two(event: Event) -> None: ...
        """,
        2,
        ["'*.b' overlaps 'a.*'", "narrower"],
    ),
    "no annotation": (
        """\
        @handler("a")
        async def one(order): ...
        """,
        0,
        ["parameter 'order' of one has no annotation"],
    ),
    "an annotation that cannot be read": (
        """\
        @handler("a")
        async def one(order: "Missing") -> None: ...
        """,
        0,
        ["annotation of one", "Missing"],
    ),
    "an annotation that cannot be validated": (
        """\
        class Plain: ...
        @handler("a")
        async def one(order: Plain) -> None: ...
        """,
        1,
        ["parameter 'order'", "cannot be validated", "pydantic model"],
    ),
    "two payloads": (
        """\
        @handler("a")
        async def one(x: dict, y: dict) -> None: ...
        """,
        0,
        ["'y' of one would be a second payload"],
    ),
    "variable arguments": (
        """\
        @handler("a")
        async def one(*args: Event) -> None: ...
        """,
        0,
        ["'args' of one is variable"],
    ),
    "positional-only": (
        """\
        @handler("a")
        async def one(event: Event, /) -> None: ...
        """,
        0,
        ["positional-only"],
    ),
    "a generator": (
        """\
        @handler("a")
        async def one(event: Event):
            yield event
        """,
        0,
        ["one is a generator"],
    ),
    "zero attempts": (
        """\
        @handler("a", attempts=0)
        async def one(event: Event) -> None: ...
        """,
        0,
        ["attempts=0 must be 1 or more"],
    ),
    "a policy that is none": (
        """\
        @handler("a", retry="linear(5s, 5s)")
        async def one(event: Event) -> None: ...
        """,
        0,
        ["retry='linear(5s, 5s)' must be a RetryPolicy"],
    ),
    "a policy that cannot be meant": (
        """\
        @handler("a", retry=RetryPolicy(attempts=0))
        async def one(event: Event) -> None: ...
        """,
        0,
        ["ValueError: attempts must be 1 or more"],
    ),
    "a timeout that is no duration": (
        """\
        @handler("a", timeout="soon")
        async def one(event: Event) -> None: ...
        """,
        0,
        ["timeout", "is not a duration"],
    ),
    "a timeout of zero": (
        """\
        @handler("a", timeout=0)
        async def one(event: Event) -> None: ...
        """,
        0,
        ["timeout must be more than 0"],
    ),
    "a bad pattern": (
        """\
        @handler("a..b")
        async def one(event: Event) -> None: ...
        """,
        0,
        ["empty word"],
    ),
    "two lifespans": (
        """\
        @handler("a")
        async def one(event: Event) -> None: ...
        @lifespan
        async def first():
            yield
        @lifespan
        async def second():
            yield
        """,
        2,
        ["two @lifespan", "join them"],
    ),
    "a lifespan with parameters": (
        """\
        @lifespan
        async def first(app):
            yield
        """,
        0,
        ["first must take no parameters"],
    ),
    "a lifespan that does not yield": (
        """\
        @lifespan
        async def first():
            return 1
        """,
        0,
        ["must be an async generator"],
    ),
    "an error while importing": ("x = 1 / 0\n", 0, ["ZeroDivisionError: division by zero"]),
    "a syntax error": ("def broken(:\n", 0, ["SyntaxError"]),
    "a missing import": ("import nowhere_to_be_found\n", 0, ["ModuleNotFoundError", "nowhere"]),
}


@pytest.mark.parametrize(("body", "line", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_its_place(
    load: object, body: str, line: int, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(body)  # type: ignore[operator] # the fixture

    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert f".py:{FIRST_LINE + line}" in text, text
    assert all(word in text for word in words), text


def test_a_module_without_handlers_says_how_to_write_one(load: object) -> None:
    with pytest.raises(ConfigError, match="no handler is declared there"):
        load("x = 1\n")  # type: ignore[operator] # the fixture


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.handlers", ["no module named 'nowhere.handlers'", "TIDINGS_MODULES"]),
        ("shop/handlers.py", ["not the name of a module", "shop.handlers"]),
    ],
)
def test_a_module_that_is_not_there_is_named(name: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_registry([name])

    assert all(word in str(caught.value) for word in words)


def test_a_remembered_type_stays_bounded() -> None:
    registry = Registry()

    assert all(registry.find(f"type-{number}") is None for number in range(5000))
