"""Waiting for a condition instead of sleeping for a while."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

_POLL: Final = 0.02


async def until(
    condition: Callable[[], object | Awaitable[object]], *, within: float = 10.0, what: str = ""
) -> None:
    """Ask until the answer is true; fail the test with `what` was awaited when time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if loop.time() > deadline:
            name = what or getattr(condition, "__name__", repr(condition))
            pytest.fail(f"not within {within:g} s: {name} (last answer: {answer!r})")
        await asyncio.sleep(_POLL)
