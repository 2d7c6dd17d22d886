"""docs/benchmarks.md: where, when, with what, how, and the tables."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.contestants import ROOT, Contestant
from benchmarks.cores import Cores
from benchmarks.measures import RATE, WINDOW
from benchmarks.settings import Sizes

PAGE: Final = ROOT / "docs" / "benchmarks.md"

_INTRODUCTION: Final = """\
# Benchmarks

Written by `make bench BENCH_WRITE=1`; do not edit. All take turns, one process at a time; numbers
are medians of {rounds} round(s). `(2x)` means twice ours, `—` that the library has nothing for it.
They depend on the machine: compare within a run only.
"""

_METHOD: Final = """\
## How it is measured

Each contestant is one process on one core, the broker has another. All get the same CloudEvent of
400 bytes, framed as each library frames what it sends, in a durable quorum queue (Dramatiq:
classic, it has no other), persistent, with publisher confirms, acked after the handler, prefetch
100. The queue is filled with copies of an event that the contestant's own publisher has sent, each
with an id of its own.

- **Consume**: {events:,} events wait. CPU time is user and system time of the process, all threads,
  from the first handled event until the last is acked; the queue is found empty afterwards.
- **Publish**: {events:,} events with at most {window} unconfirmed, {single:,} one by one. Peers
  whose `publish` blocks until the confirm have no window.
- **Latency**: a publisher and a consumer of the contestant, both on the client's core, {rate:.0f}
  events a second for {seconds:g} s; from just before the call that publishes to the first line of
  the handler. A Python peer whose `publish` blocks until the confirm publishes from 4 threads.
- **Retry**: {retried:,} events wait; each handler raises the first time, and the library runs it
  again after 1 s. CPU time for each event, both passes. Where a queue with a TTL would have to be
  made by hand, it is not the library's retry: `—`.
- **Memory**: {waiting:,} events wait (for peers a tenth of that: to fill a queue takes minutes, and
  with a prefetch of 100 they do not see how long it is); the peak of resident memory while the
  consumer works on them for {seconds:g} s, and how much memory grows meanwhile. One round.
- **Outbox on disk**: see benchmarks/outbox.py. Every publish waits until the event is safe.
- **Order**: {ordered:,} events of 1,000 subjects wait, each with its slot, for each order that a
  group may ask for; medians of {turns} round(s). The processes are up before, share the partitions
  where there are any, and begin together; from the first handled event to the last of all of them,
  CPU time of all of them. Several processes share the clients' core. For `priority`, the events
  have priorities 0 to 9. See benchmarks/order.py.
- **To the first event**: from starting the process to the first line of the handler.

`python -m benchmarks --help` says how to run a part of it.
"""


def machine(cores: Cores, broker: str) -> list[str]:
    """Return what the numbers depend on, in lines."""
    where = "not pinned" if cores.client is None else "clients on one core, the broker on another"
    return [
        f"- {_processor()}, {os.cpu_count()} cores; {where}",
        f"- {platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"- {broker}",
    ]


def write(
    *,
    sizes: Sizes,
    where: Sequence[str],
    tables: Sequence[str],
    contestants: Sequence[Contestant],
    path: Path = PAGE,
) -> None:
    """Write the page."""
    date = datetime.now(UTC).date().isoformat()
    lines = [
        _INTRODUCTION.format(rounds=sizes.rounds),
        *(f"- {date}", *where, ""),
        "## Results",
        "",
        *tables,
        _METHOD.format(
            events=sizes.events,
            single=sizes.single,
            retried=sizes.retried,
            seconds=sizes.seconds,
            waiting=sizes.waiting,
            ordered=sizes.ordered,
            turns=sizes.turns,
            window=WINDOW,
            rate=RATE,
        ),
        "## Who takes part, and with what settings",
        "",
    ]
    for one in contestants:
        lines += [f"**{one.name}**: {one.version}. {one.settings}", ""]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as listed:
            for line in listed:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
