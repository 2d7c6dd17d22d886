"""The event, and the clocks of a consumer. Needs nothing but Python's own library.

The clock of a consumer runs from the first handled event to the last. CPU time (user and system,
of all threads) runs a little longer, so that the last acks are in it; the process is idle then.
"""

import json
import os
import resource
import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cProfile

TYPE = "benchmark.event"
MARKER = "be9c4000-0000-4000-8000-feedfeedfeed"
"""The id of the event that is copied, with ids of their own, until the queue is full."""
BODY_BYTES = 400
PREFETCH = 100
NOT_SENT = 10**18
"""In the place of a time in nanoseconds; it has as many digits."""
WARM_UP = 100
"""Events that are sent at the steady rate before those that count."""


def event(identity: str, sent: int = NOT_SENT) -> dict[str, Any]:
    """Return a CloudEvent that is BODY_BYTES long as compact JSON."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "benchmark",
        "type": TYPE,
        "time": "2026-01-01T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {"order": 7, "sent": sent, "text": _TEXT},
    }


_TEXT = ""
_TEXT = "x" * (BODY_BYTES - len(json.dumps(event(MARKER), separators=(",", ":"))))


def data(sent: int = NOT_SENT) -> dict[str, Any]:
    """Return what an event carries, for a publisher that makes the event around it."""
    return {"order": 7, "sent": sent, "text": _TEXT}


def identity(number: int) -> str:
    """Return an id as long as MARKER."""
    return f"be9c4000-0000-4000-8000-{number:012d}"


class FailsOnce(Exception):
    """What the handler of the measure `retry` raises."""


class Meter:
    """Counts handled events; starts its clocks at the first one and ends the process at the last.

    `handled` is called by one thread only. It costs about 0.1 µs.
    """

    kind = "nothing"
    events = 0
    seconds = 0.0
    acks_seconds = 0.3
    """How long the last acks may take to get out, after the last event was handled."""

    def __init__(self) -> None:
        self._count = 0
        self._last = 0
        self._cpu = self._wall = 0.0
        self._failed: set[str] = set()
        self._latencies: list[int] = []
        self._profile: cProfile.Profile | None = None

    def expect(self, kind: str, events: int) -> None:
        """Say what will come: of a retried event, each pass counts."""
        self.kind, self.events = kind, events
        self._last = events * 2 if kind == "retry" else events

    def handled(self) -> None:
        """Count an event; to be called by the handler."""
        self._count += 1
        if self._count == 1:
            say("first", ns=time.time_ns())
            if self.seconds:
                threading.Timer(self.seconds, self._say_memory, (_memory("VmRSS"),)).start()
            self.begin()
        if self._count == self._last:
            self._end_of_consuming()

    def fails(self, name: str) -> bool:
        """Count a pass of an event, and tell whether it is the first one and so must fail."""
        first = name not in self._failed
        self._failed.add(name)
        self.handled()
        return first

    def arrived(self, sent: int) -> None:
        """Take the latency of an event."""
        if sent == NOT_SENT:  # before the clock runs, or without one
            if self._count == 0:
                self._count = 1
                say("first", ns=time.time_ns())
            return
        self._latencies.append(time.time_ns() - sent)
        if len(self._latencies) == self.events:
            cuts = statistics.quantiles(self._latencies, n=100, method="inclusive")
            values = {"p50_ms": cuts[49] / 1e6, "p99_ms": cuts[98] / 1e6}
            threading.Timer(self.acks_seconds, self._end, ("done",), values).start()

    def begin(self) -> None:
        """Start the clocks."""
        if os.environ.get("BENCH_PROFILE"):
            import cProfile  # noqa: PLC0415 - start-up is measured, too

            self._profile = cProfile.Profile()
            self._profile.enable()
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def end(self, events: int) -> None:
        """Stop the clocks, for a publisher: say the result."""
        cpu, wall = cpu_seconds() - self._cpu, time.perf_counter() - self._wall
        self._end_profile()
        say("done", cpu_us=cpu / events * 1e6, per_second=events / wall)

    def _end_of_consuming(self) -> None:
        wall = time.perf_counter() - self._wall
        self._end_profile()
        threading.Timer(self.acks_seconds, self._say_cpu, (wall,)).start()

    def _say_cpu(self, wall: float) -> None:
        cpu = cpu_seconds() - self._cpu
        per_second = self.events / wall if wall else 0.0
        self._end("done", cpu_us=cpu / self.events * 1e6, per_second=per_second)

    def _say_memory(self, before: float) -> None:
        now = _memory("VmRSS")
        peak = _memory("VmHWM")
        self._end("done", peak_mib=peak, grown_mib=max(0.0, now - before), handled=self._count)

    def _end(self, what: str, **values: float) -> None:
        say(what, **values)
        os._exit(0)  # the acks are out; a peer's way to stop is not what is measured

    def _end_profile(self) -> None:
        if self._profile is not None:
            self._profile.disable()
            self._profile.dump_stats(os.environ["BENCH_PROFILE"])


meter = Meter()


def say(what: str, **values: float) -> None:
    """Write a result where the harness reads it."""
    os.write(1, (json.dumps({"bench": what, **values}) + "\n").encode())


def cpu_seconds() -> float:
    """Return the CPU time of this process so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory(what: str) -> float:
    """Return the memory that is resident, now or at its peak, in MiB.

    Not `ru_maxrss` on Linux: a new process inherits it from the one that starts it.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - pathlib is slow
            sizes = dict(line.split(":", 1) for line in status)
        return int(sizes[what].split()[0]) / 2**10
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
