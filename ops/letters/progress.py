"""Shows how a long run goes on: a bar on a terminal, a line now and then elsewhere."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from ops.command import say

LINE_SECONDS = 5.0
BAR_SECONDS = 0.1


@asynccontextmanager
async def shown(
    what: str, *, total: int, done: Callable[[], tuple[int, int]]
) -> AsyncIterator[None]:
    """Show progress on standard error while the block runs.

    `done` returns how many of `total` were looked at, and how many were taken.
    """
    show = _bar if sys.stderr.isatty() else _lines
    task = asyncio.create_task(show(what, total, done), name="progress")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _lines(what: str, total: int, done: Callable[[], tuple[int, int]]) -> None:
    while True:
        await asyncio.sleep(LINE_SECONDS)
        looked, taken = done()
        say(f"{what}: {taken} done, {looked} of {total} looked at")


async def _bar(what: str, total: int, done: Callable[[], tuple[int, int]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, note="")
        try:
            while True:
                looked, taken = done()
                bar.update(task, completed=looked, note=f"{taken} done")
                await asyncio.sleep(BAR_SECONDS)
        finally:
            looked, taken = done()
            bar.update(task, completed=looked, note=f"{taken} done")
