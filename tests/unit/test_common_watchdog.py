"""The watchdog: sees from another thread that the loop is blocked, and says where, once."""

import asyncio
import threading
import time
from typing import Any

import structlog

from common.metrics import Metrics
from common.stacks import MAX_STACK, stack_of
from common.watchdog import Watchdog
from support.waiting import until

Lines = list[Any]
BLOCKED_AFTER = 0.5


def of(lines: Lines, event: str) -> Lines:
    return [one for one in lines if one["event"] == event]


def compute_for_ever(seen: threading.Event) -> None:
    """Block the thread that calls it, as a handler does that waits without `await`."""
    assert seen.wait(20), "nobody saw it"


async def handle(lines: Lines, blocks: int = 1) -> None:
    """Block the loop until that has been said for the so-many-th time."""
    seen = threading.Event()

    def look() -> None:
        while len(of(lines, "loop_blocked")) < blocks:
            time.sleep(0.01)
        seen.set()

    threading.Thread(target=look, daemon=True).start()
    compute_for_ever(seen)


async def test_a_blocked_loop_is_said_once_with_the_stack_of_who_blocks_it() -> None:
    metrics = Metrics()
    with structlog.testing.capture_logs() as lines, Watchdog(metrics, blocked_after=BLOCKED_AFTER):
        await handle(lines)
        await until(lambda: of(lines, "loop_free_again"))

    (blocked,) = of(lines, "loop_blocked")
    code = compute_for_ever.__code__
    where = f'File "{code.co_filename}", line {code.co_firstlineno + 2}, in compute_for_ever'
    assert where in blocked["stack"]
    assert 'assert seen.wait(20), "nobody saw it"' in blocked["stack"]
    assert "in handle" in blocked["stack"]
    assert blocked["seconds"] >= BLOCKED_AFTER
    (free,) = of(lines, "loop_free_again")
    assert free["seconds"] >= blocked["seconds"]


async def test_each_block_counts_and_is_the_longest_lag() -> None:
    metrics = Metrics()
    with structlog.testing.capture_logs() as lines, Watchdog(metrics, blocked_after=BLOCKED_AFTER):
        await handle(lines)
        await until(lambda: of(lines, "loop_free_again"))
        await handle(lines, blocks=2)
        await until(lambda: metrics.loop_blocked.labels().value == 2)

        shown = metrics.render()[0].decode()

    assert "tidings_loop_blocked_total 2.0" in shown
    (lag,) = (line for line in shown.splitlines() if line.startswith("tidings_loop_lag_seconds "))
    assert float(lag.split()[1]) >= BLOCKED_AFTER


async def test_a_loop_that_turns_is_not_called_blocked() -> None:
    metrics = Metrics()
    with structlog.testing.capture_logs() as lines:
        watchdog = Watchdog(metrics, blocked_after=10)
        watchdog._step, watchdog._steps = 0.01, 1000
        with watchdog:
            await until(lambda: len(watchdog._lags) >= 3)

    assert not of(lines, "loop_blocked")
    assert metrics.loop_blocked.labels().value == 0


async def test_the_thread_ends_with_the_block_that_it_watches() -> None:
    with Watchdog(Metrics(), blocked_after=10) as watchdog:
        assert watchdog._thread.daemon
        assert watchdog._thread.is_alive()

    assert not watchdog._thread.is_alive()


def test_a_loop_that_was_closed_ends_the_thread() -> None:
    watchdog = Watchdog(Metrics(), blocked_after=BLOCKED_AFTER)

    async def forget() -> None:
        watchdog.__enter__()

    asyncio.run(forget())

    watchdog._thread.join(10)
    assert not watchdog._thread.is_alive()


def test_the_stack_of_a_deep_call_keeps_the_innermost_and_is_bounded() -> None:
    ready, end = threading.Event(), threading.Event()

    def innermost_of_all() -> None:
        ready.set()
        end.wait()

    def even(depth: int) -> None:
        return odd(depth - 1) if depth else innermost_of_all()

    def odd(depth: int) -> None:
        return even(depth - 1)

    thread = threading.Thread(target=even, args=(200,))
    thread.start()
    ready.wait()
    stack = stack_of(thread.ident or 0)
    end.set()
    thread.join()

    assert "in innermost_of_all" in stack
    assert len(stack) <= MAX_STACK
    assert stack_of(thread.ident or 0) == ""
