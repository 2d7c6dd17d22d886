"""Publishes numbered events; runs as a process of its own: `python generator.py` with a plan.json.

In batches: the calls of one batch are made one after the other on one event loop, so the outbox has
them in the order of their numbers and one channel sends them so, and sends them so again after a
lost connection. The next batch begins when all of this one are confirmed, so that no number is ever
in the queue before one of an earlier batch. One by one would cost a round trip for each.
"""

import asyncio
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from tidings import Producer

HOURS = 3600.0


class Journal:
    """Its file; each line is written at once."""

    def __init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open("published.journal", flags, mode=0o644)

    def note(self, word: str, number: int, *rest: object) -> None:
        """Write a line with the time."""
        words = (word, number, time.monotonic_ns(), *rest)
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


async def generate(plan: dict[str, Any]) -> None:
    """Publish all of them, no faster than the plan says."""
    dice = random.Random(plan["seed"])
    keys = [f"key-{number}" for number in range(plan["keys"])]
    journal = Journal()
    async with Producer(plan["uri"], source="campaign") as producer:

        async def publish(number: int) -> None:
            key, priority = dice.choice(keys), dice.randrange(plan["priorities"])
            data = {"number": number, "key": key, "priority": priority}
            journal.note("begun", number, key, priority)
            await producer.publish(
                "order.numbered",
                data,
                id=f"e{number}",
                key=key,
                subject=key,
                priority=priority if plan["priorities"] > 1 else None,
                timeout=HOURS,  # a second call would come behind those of its batch
            )
            journal.note("stored", number)

        begin, published = time.monotonic(), 0
        while published < plan["events"]:
            batch = range(published, min(published + plan["batch"], plan["events"]))
            await asyncio.gather(*map(publish, batch))  # the tasks begin in the order of the list
            published = batch.stop
            await asyncio.sleep(begin + published / plan["rate"] - time.monotonic())


if __name__ == "__main__":
    asyncio.run(generate(json.loads(Path("plan.json").read_text(encoding="utf-8"))))
