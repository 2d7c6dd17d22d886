"""A user's module for services that run as processes: its handler writes down when it starts."""

from pathlib import Path

RECORDING = """
import asyncio, pathlib
from tidings import handler, Event, Context

LOG = pathlib.Path("runs.txt")

@handler("order.created")
async def charge(event: Event, ctx: Context) -> None:
    with LOG.open("a") as file:
        file.write(f"{event.id} {ctx.attempt}\\n")
    if pathlib.Path("hang").exists():
        await asyncio.sleep(60)
"""


def runs(folder: Path) -> list[list[str]]:
    """What handlers wrote when they started: event id and attempt."""
    log = folder / "runs.txt"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []
