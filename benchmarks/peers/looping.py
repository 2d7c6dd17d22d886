"""What contestants on asyncio share: the loop, and publishing with a window or at a steady rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from benchmarks.peers.measuring import NOT_SENT, WARM_UP, meter, say


def on_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - optional

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


async def windowed(
    publish: Callable[[int, int], Awaitable[object]], events: int, window: int
) -> None:
    """Publish with at most `window` in flight; `publish(number, sent)` returns when confirmed."""
    await publish(0, NOT_SENT)  # the first one connects
    numbers = iter(range(1, events + 1))

    async def some() -> None:
        for number in numbers:
            await publish(number, NOT_SENT)

    meter.begin()
    await asyncio.gather(*(some() for _ in range(window)))
    meter.end(events)


async def paced(
    publish: Callable[[int, int], Coroutine[Any, Any, object]], events: int, rate: float
) -> None:
    """Publish at a steady rate, not waiting for confirms."""
    tasks: set[asyncio.Task[object]] = set()
    began = time.perf_counter()
    for number in range(WARM_UP + events):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        sent = NOT_SENT if number < WARM_UP else time.time_ns()
        task = asyncio.create_task(publish(number, sent))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    say("sent", per_second=(WARM_UP + events) / (time.perf_counter() - began))
    await asyncio.gather(*tasks)
