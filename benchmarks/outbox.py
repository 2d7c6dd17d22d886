"""The outbox on disk beside the one in memory, the drain of a long backlog, and late ticks."""

import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from benchmarks.amqp import Broker
from benchmarks.contestants import BUILD
from benchmarks.cores import Cores
from benchmarks.peers.tidings_outbox import QUEUE
from benchmarks.running import Process
from benchmarks.settings import Sizes

TICK_SECONDS = 5.0
SLOWEST = 0.01
"""Seconds that an event may take: only what hangs is ended."""


class Bench:
    """Runs the actions of `benchmarks.peers.tidings_outbox` on the clients' core."""

    def __init__(self, uri: str, cores: Cores) -> None:
        self._uri = uri
        self._cores = cores

    def run(self, *arguments: str, events: int = 0) -> dict[str, float]:
        """Run one, and return what it said."""
        with Process(
            (sys.executable, "-m", "benchmarks.peers.tidings_outbox", *arguments),
            core=self._cores.client,
            log=BUILD / "logs" / f"outbox-{arguments[0]}.log",
            environment={"AMQP_URI": self._uri},
        ) as process:
            return process.wait_for("done", within=60 + events * SLOWEST)

    def empty(self) -> None:
        """Remove what was published."""
        with closing(Broker(self._uri)) as broker:
            broker.empty(QUEUE)


def measure(uri: str, cores: Cores, sizes: Sizes, plain: float | None) -> list[str]:
    """Return the lines of a section. `plain`: FastStream's publishes a second in this run."""
    bench = Bench(uri, cores)
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        home = f"sqlite:///{Path(folder) / 'outbox.db'}"
        memory, disk = [], []
        for _ in range(sizes.rounds):
            for kept, rates in (("memory", memory), (home, disk)):
                found = bench.run("publish", kept, str(sizes.events), events=sizes.events)
                rates.append(found["per_second"])
                bench.empty()
        stored = bench.run("store", home, str(sizes.waiting), events=sizes.waiting)
        drained = bench.run("drain", home, str(sizes.waiting), events=sizes.waiting)
        bench.empty()
    ticks = bench.run("tick", str(TICK_SECONDS))
    in_memory, on_disk = statistics.median(memory), statistics.median(disk)
    lines: list[str] = []
    lines.append(
        f"confirmed publish, 200 callers: {on_disk:,.0f} a second through `sqlite`, "
        f"{in_memory:,.0f} through `memory`; {_goal('of it', on_disk / in_memory, 0.6)}"
    )
    if plain is not None:
        lines.append(_goal("of FastStream's plain publish", on_disk / plain, 3))
    lines.append(
        f"{sizes.waiting:,} events accepted without a broker: {stored['per_second']:,.0f} a "
        f"second, {stored['peak_mib']:.0f} MiB at most (goal: below 96 MiB)"
    )
    lines.append(
        f"and sent afterwards: {drained['per_second']:,.0f} a second, "
        f"{drained['peak_mib']:.0f} MiB at most; "
        f"{_goal('of the direct rate', drained['per_second'] / in_memory, 0.7)}"
    )
    lines.append(
        f"{ticks['per_second']:,.0f} ticks a second: called {ticks['p50_ms']:.1f} ms late at "
        f"p50, {ticks['p99_ms']:.1f} ms at p99 (goal: below 5 ms)"
    )
    return ["### Outbox on disk", "", *(f"- {line}" for line in lines), ""]


def _goal(what: str, factor: float, bound: float) -> str:
    return f"{factor:.2f} {what} (goal: {bound:g})"
