"""What a run is told: arguments, with environment variables for each."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

WHAT = (
    *("start", "idle", "consume", "awaits", "publish", "single"),
    *("latency", "retry", "memory", "first", "outbox", "order"),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each."""

    rounds: int
    events: int
    single: int
    """Events that are published one by one."""
    retried: int
    seconds: float
    """Of latency and of work on a long queue."""
    waiting: int
    """Events in the long queue, for ours; a tenth of it for peers: to fill it takes minutes."""
    ordered: int
    """Events that wait for each order."""
    turns: int
    """Rounds of the orders."""


FULL = Sizes(
    rounds=5,
    events=20_000,
    single=2_000,
    retried=1_000,
    seconds=3,
    waiting=1_000_000,
    ordered=60_000,
    turns=3,
)
QUICK = Sizes(
    rounds=1,
    events=3_000,
    single=300,
    retried=500,
    seconds=1.5,
    waiting=50_000,
    ordered=9_000,
    turns=1,
)


@dataclass(frozen=True, slots=True)
class Options:
    """A run."""

    sizes: Sizes
    only: tuple[str, ...]
    """Contestants; empty: all."""
    what: tuple[str, ...]
    uri: str | None
    write: bool
    profile: bool
    wrap: tuple[str, ...]
    """A command to run each contestant under."""
    broker: bool
    """Only start a broker, and keep it."""


def read(argv: Sequence[str] | None = None) -> Options:
    """Read the command line, and BENCH_… variables for what it does not say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Tidings beside its peers. Each --option may be given as BENCH_OPTION.",
    )
    parser.add_argument("--only", default=_given("only"), help="contestants, as in: tidings,pika")
    parser.add_argument("--what", default=_given("what"), help=f"of {','.join(WHAT)}")
    parser.add_argument("--rounds", type=int, default=_given("rounds"))
    parser.add_argument("--events", type=int, default=_given("events"))
    parser.add_argument(
        "--waiting",
        type=int,
        default=_given("waiting"),
        help="events in the long queue of `memory`",
    )
    parser.add_argument("--quick", action="store_true", default=_flag("quick"))
    parser.add_argument(
        "--write", action="store_true", default=_flag("write"), help="docs/benchmarks.md"
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        default=_flag("profile"),
        help="run under cProfile, and print where the time goes",
    )
    parser.add_argument(
        "--wrap", default=_given("wrap"), help="a command for contestants: 'perf record -o x'"
    )
    parser.add_argument(
        "--broker", action="store_true", help="start the broker alone, keep it until Ctrl-C"
    )
    given = parser.parse_args(argv)
    return Options(
        sizes=_sizes(given),
        only=_names(given.only),
        what=_known(parser, _names(given.what)),
        uri=os.environ.get("AMQP_URI") or None,
        write=given.write,
        profile=given.profile,
        wrap=tuple((given.wrap or "").split()),
        broker=given.broker,
    )


def _given(name: str) -> str | None:
    return os.environ.get(f"BENCH_{name.upper()}") or None


def _flag(name: str) -> bool:
    return _given(name) not in (None, "0")


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def _known(parser: argparse.ArgumentParser, what: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in what if name not in WHAT]:
        parser.error(f"--what: {', '.join(unknown)}; there are {', '.join(WHAT)}")
    return what or WHAT


def _sizes(given: argparse.Namespace) -> Sizes:
    base = QUICK if given.quick else FULL
    return Sizes(
        rounds=given.rounds or base.rounds,
        events=given.events or base.events,
        single=max(1, given.events // 10) if given.events else base.single,
        retried=max(1, given.events // 10) if given.events else base.retried,
        seconds=base.seconds,
        waiting=given.waiting or base.waiting,
        ordered=given.events or base.ordered,
        turns=given.rounds or base.turns,
    )
