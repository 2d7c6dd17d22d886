"""The user's module of the campaigns: its handler writes down what it does, and fails by a plan.

It is copied into the folder of a campaign, where the plan lies too; it knows nothing else.
"""

import asyncio
import json
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from tidings import Context, Event, Reject, RetryPolicy, handler

PLAN: dict[str, Any] = json.loads(Path("plan.json").read_text(encoding="utf-8"))
if PLAN["sabotage"]:
    import_module("sabotage").apply(PLAN["sabotage"])

_PROCESS = os.getpid()
_JOURNAL = os.open(
    f"handled-{_PROCESS}.journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, mode=0o644
)


def note(what: str, event: Event, attempt: int) -> None:
    """Write a whole line at once: a `kill -9` leaves it or does not."""
    data = event.data
    rest = f"{event.id} {data['key']} {data['number']} {attempt} {data['priority']}"
    os.write(_JOURNAL, f"{what} {time.monotonic_ns()} {_PROCESS} {rest}\n".encode())


@handler("order.numbered", retry=RetryPolicy(first_delay=0.05, factor=1.0))
async def handle(event: Event, ctx: Context) -> None:
    """Note the start, work, note the end."""
    number = event.data["number"]
    note("start", event, ctx.attempt)
    try:
        pause = PLAN["pause"] if number % PLAN["pause_every"] == 0 else 0.0
        await asyncio.sleep(pause)
    except BaseException:
        note("cancel", event, ctx.attempt)
        raise
    if _is(number, PLAN["reject_every"]):
        note("reject", event, ctx.attempt)
        raise Reject("by plan")
    if ctx.attempt == 1 and _is(number, PLAN["fail_every"]):
        note("raise", event, ctx.attempt)
        raise ValueError("by plan")
    note("end", event, ctx.attempt)


def _is(number: int, every: int) -> bool:
    return every > 0 and number % every == every - 1
