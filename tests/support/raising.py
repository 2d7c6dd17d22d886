"""Every way to raise: the rows of the table in docs/handling.md, for async and plain handlers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import NamedTuple

from tidings import Reject, Retry, Snooze

TIMEOUT = 0.3
"""Seconds that the handlers of these rows may take."""


class Row(NamedTuple):
    """What is raised, and the dead letter that follows where it is the last attempt."""

    said: str
    """As the table says it."""
    plain: Callable[[], object]
    error: str
    message: str = ""
    reason: str = "attempts_spent"
    """Empty: no dead letter, the event is handled the second time."""
    asynchronous: Callable[[], Awaitable[object]] | None = None
    """None: the same as the plain one, called in an async handler."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I will not say")


class Leaving(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Faceless(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("I will not show")


class Unprintable(Exception):
    def __getattribute__(self, name: str) -> object:
        if name == "__notes__":  # which the traceback looks for
            raise RuntimeError("not to be printed")
        return super().__getattribute__(name)


def raising(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


def own_cause() -> object:
    error = ValueError("round and round")
    raise error from error


def endless() -> object:
    return endless()


def _plain_items() -> Iterator[int]:
    yield 1
    raise OSError("the file is gone")


async def _items() -> AsyncIterator[int]:
    yield 1
    raise OSError("the file is gone")


def from_generator() -> object:
    return list(_plain_items())


async def from_async_generator() -> object:
    return [item async for item in _items()]


def too_long() -> object:
    return threading.Event().wait(TIMEOUT * 3)


async def too_long_async() -> object:
    return await asyncio.Event().wait()


async def own_timeout() -> object:
    async with asyncio.timeout(0.01):
        return await asyncio.Event().wait()


async def own_cancel() -> object:
    lost: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    lost.cancel()
    return await lost


async def in_a_task_group() -> object:
    async def fail() -> None:
        raise ValueError("a")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())
        tasks.create_task(asyncio.sleep(60))
    return None


def nested(*inner: BaseException) -> BaseException:
    return BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [ValueError("a"), *inner])])


SPENT = "not finished within its timeout of 0.3s"

ROWS = (
    Row("an exception", raising(ValueError("x")), "ValueError", "x"),
    Row("`ExceptionGroup`, nested", raising(nested(KeyError("b"))), "ValueError", "a"),
    Row(
        "`ExceptionGroup` of a `TaskGroup`",
        raising(ExceptionGroup("g", [ValueError("a")])),
        "ValueError",
        "a",
        asynchronous=in_a_task_group,
    ),
    Row(
        "`ExceptionGroup` with `Reject` inside",
        raising(nested(Retry(after=1), Reject("no"))),
        "Reject",
        "no",
        "rejected",
    ),
    Row(
        "`ExceptionGroup` with `Retry` inside",
        raising(nested(Snooze(for_=1), Retry("later", after=1))),
        "Retry",
        "later",
    ),
    Row(
        "`ExceptionGroup` with `Snooze` and nothing else",
        raising(ExceptionGroup("g", [Snooze(for_=1)])),
        "",
        reason="",
    ),
    Row("`CancelledError`", raising(asyncio.CancelledError()), "CancelledError"),
    Row(
        "`CancelledError` of something it waited for",
        raising(asyncio.CancelledError()),
        "CancelledError",
        asynchronous=own_cancel,
    ),
    Row("`SystemExit`", raising(SystemExit(3)), "SystemExit", "3"),
    Row("`KeyboardInterrupt`", raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    Row("`GeneratorExit`", raising(GeneratorExit()), "GeneratorExit"),
    Row("`RecursionError`", endless, "RecursionError", "maximum recursion depth exceeded"),
    Row("`MemoryError`", raising(MemoryError()), "MemoryError"),
    Row(
        "`StopIteration`",
        raising(StopIteration()),
        "RuntimeError",
        "coroutine raised StopIteration",
    ),
    Row(
        "`TimeoutError` of its own",
        raising(TimeoutError("the bank is slow")),
        "TimeoutError",
        "the bank is slow",
    ),
    Row(
        "`TimeoutError` of its own `asyncio.timeout`",
        raising(TimeoutError()),
        "TimeoutError",
        asynchronous=own_timeout,
    ),
    Row("nothing, its time is over", too_long, "TimeoutError", SPENT, asynchronous=too_long_async),
    Row(
        "an exception in a generator it reads",
        from_generator,
        "OSError",
        "the file is gone",
        asynchronous=from_async_generator,
    ),
    Row("one whose `str()` raises", raising(Mute()), "Mute", "(its text cannot be had: Run"),
    Row("one whose `str()` exits", raising(Leaving()), "Leaving", "(its text cannot be had: Sys"),
    Row("one whose `repr()` raises", raising(Faceless("x")), "Faceless", "x"),
    Row("one with 10 MB of text", raising(ValueError("x" * 10_000_000)), "ValueError", "xxx"),
    Row("one whose text is not Unicode", raising(ValueError("\ud800\x00")), "ValueError", "\\ud8"),
    Row("one whose traceback cannot be printed", raising(Unprintable("x")), "Unprintable", "x"),
    Row("one that is its own cause", own_cause, "ValueError", "round and round"),
)
