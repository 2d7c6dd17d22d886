"""What an inbox costs for each event: `python -m benchmarks.inbox`."""

import asyncio
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from benchmarks.contestants import BUILD
from consumer.inbox.claim import Claim, key_of
from consumer.inbox.home import SQLITE, open_inbox
from consumer.inbox.memory import KEEP_SECONDS, MemoryInbox

EVENTS = 50_000
ROUNDS = 7
CONCURRENT = 64
SECONDS = 3.0
QUOTA = 1024**3
BODY_BYTES = 400


def memory_us() -> float:
    """Microseconds of this thread for `take` and `done` of one event; the best round."""
    keys = [key_of("tidings/producer", str(uuid4())) for _ in range(EVENTS)]
    best = float("inf")
    for _ in range(ROUNDS):
        inbox = MemoryInbox(size=EVENTS // 2)  # so that it forgets, too
        bodies = [b"%0400d" % number for number in range(EVENTS)]  # none of them hashed yet
        began = time.thread_time()
        for key, body in zip(keys, bodies, strict=True):
            inbox.take(key, 0, body)
            inbox.done(key)
        best = min(best, time.thread_time() - began)
    return best / EVENTS * 1e6


async def sqlite_rate(
    folder: Path, *, seconds: float = SECONDS, transactional: bool = False
) -> float:
    """Events a second that are claimed and finished by so many at once."""
    home = f"{SQLITE}{folder / ('effects.db' if transactional else 'inbox.db')}"
    inbox = open_inbox(home, group="bench", keep=KEEP_SECONDS, quota=QUOTA)
    running = asyncio.create_task(inbox.run())
    body = b"x" * BODY_BYTES
    end = 0.0
    handled = 0

    async def handle() -> None:
        nonlocal handled
        while time.perf_counter() < end:
            key = key_of("tidings/producer", str(uuid4()))
            if await inbox.claim(key, 0, body) is not Claim.TAKEN:
                raise AssertionError(key)
            if transactional:
                async with inbox.transaction(key) as begun:
                    begun.transaction.execute("INSERT INTO effects VALUES (?)", (key[1],))
                    if await begun.end(None) is not None:
                        raise AssertionError(key)
            else:
                await inbox.finish(key, done=True)
            handled += 1

    if transactional:
        first = key_of("tidings/producer", "first")
        await inbox.claim(first, 0, body)
        async with inbox.transaction(first) as begun:
            begun.transaction.execute("CREATE TABLE effects (id TEXT)")
            await begun.end(None)
    end = (began := time.perf_counter()) + seconds
    await asyncio.gather(*(handle() for _ in range(CONCURRENT)))
    rate = handled / (time.perf_counter() - began)
    running.cancel()
    await asyncio.wait((running,))
    await inbox.close()
    return rate


def lines() -> list[str]:
    """Measure, and say it with the goals."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        plain = asyncio.run(sqlite_rate(Path(folder)))
        transactional = asyncio.run(sqlite_rate(Path(folder), transactional=True))
    return [
        f"memory: {memory_us():.2f} µs per event (goal: 3 at most)",
        f"sqlite, {CONCURRENT} at once: {plain:,.0f} events a second (goal: 10,000)",
        f"sqlite, a transaction for each event: {transactional:,.0f} a second",
    ]


if __name__ == "__main__":
    print("\n".join(lines()))
