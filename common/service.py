"""Run a service: signals, the drain deadline, exit codes.

The first SIGTERM or SIGINT asks the service to stop; it then has its drain deadline. A second
signal ends the process at once: what was in hand stays unacked, and comes back.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from common.errors import EXIT_OK, TidingsError, first_of
from common.logs import get_logger

FORCED_EXIT = 130
GRACE_AFTER_DRAIN = 5.0
"""Seconds a service may take beyond its drain deadline to close connections before it is ended."""

COLLECT_EVERY = (10_000, 20, 20)
"""Objects made before the youngest are looked through, and how often before the older ones are."""

Stop = asyncio.Event


def run_service(start: Callable[[Stop], Awaitable[None]], *, drain_timeout: float) -> int:
    """Run `start(stop)` until it returns; return the process exit code.

    `start` returns soon after `stop` is set, or raises a TidingsError that ends the service.
    """

    def run() -> int:
        _calm_the_collector()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_stopped(start, drain_timeout))
        return EXIT_OK

    return exit_code_of(run)


def _calm_the_collector() -> None:
    """Keep the garbage collector from looking at what was imported again and again.

    That lives as long as the process, and is most of what there is: going through it cost a tenth
    of the time of an event. What is made from now on is collected as ever, a little more seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


def exit_code_of(run: Callable[[], int]) -> int:
    """Call `run`; a TidingsError, alone or in a group, becomes its line and its exit code."""
    try:
        return run()
    except TidingsError as error:
        first = error
    except BaseExceptionGroup as group:
        errors, rest = group.split(TidingsError)
        if errors is None or rest is not None:
            raise
        first = first_of(errors)
    say_error(first)
    return first.exit_code


def say_error(error: TidingsError) -> None:
    """Print an error as lines for people, `tidings: what, where, remedy`, never a traceback."""
    for line in str(error).splitlines():
        sys.stderr.write(f"tidings: {line}\n")
    sys.stderr.flush()


async def _until_stopped(start: Callable[[Stop], Awaitable[None]], drain_timeout: float) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    log = get_logger()

    def on_signal(name: str) -> None:
        if stop.is_set():
            log.warning("forced_exit", signal=name)
            sys.stdout.flush()
            os._exit(FORCED_EXIT)
        stop.set()  # first: the line may be lost in a broken pipe
        loop.call_later(drain_timeout + GRACE_AFTER_DRAIN, _overdue)
        log.info("stopping", signal=name, drain_timeout=drain_timeout)

    def _overdue() -> None:
        log.error("stop_overdue", drain_timeout=drain_timeout)
        sys.stdout.flush()
        os._exit(FORCED_EXIT)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, signal.Signals(number).name)
    await start(stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Use uvloop where it is installed (the extra `fast`)."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop
