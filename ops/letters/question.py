"""Ask the person at the terminal."""

import asyncio
import sys

from ops.command import Stop, say


async def confirmed(question: str, stop: Stop) -> bool:
    """Ask on the terminal without holding up the event loop, which has heartbeats to send."""
    if not sys.stdin.isatty():
        say("tidings: no terminal to ask on; say --yes")
        return False
    sys.stderr.write(question)
    sys.stderr.flush()
    answered = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), answered.set)
    waits = [asyncio.create_task(one.wait()) for one in (answered, stop)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(sys.stdin.fileno())
        for wait in waits:
            wait.cancel()
    return answered.is_set() and sys.stdin.readline().strip().lower() in ("y", "yes")
