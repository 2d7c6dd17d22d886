"""Cancellations: one that was asked for, one that a library lets slip, one that has to wait."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def asked_to_stop() -> bool:
    """Whether the current task was cancelled on purpose.

    Libraries cancel the futures that others wait for (aiormq when a connection goes): the
    CancelledError that comes of it looks the same, and must not end a task that nobody stops.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish what has begun although we are cancelled: what a thread does cannot be undone."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # once more: the first is raised, below
                await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # whoever would have heard of it is gone
        raise
