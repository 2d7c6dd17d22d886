"""The measures: what a contestant is told to do, and what comes out.

Each starts from an empty queue.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.amqp import Broker, Template
from benchmarks.contestants import BUILD, OURS, Contestant
from benchmarks.cores import Cores
from benchmarks.running import Failed, Process
from benchmarks.settings import Options

RATE: Final = 500.0
WINDOW: Final = 200
SLOWEST: Final = 0.005
"""Seconds that an event may take: only what hangs is ended."""

Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Session:
    """What the measures of a run share."""

    uri: str
    options: Options
    cores: Cores
    templates: dict[str, Template]

    def start(self, one: Contestant, *arguments: str) -> Process:
        """Start a contestant on its core."""
        environment = {"AMQP_URI": self.uri, "BENCH_PROFILE": ""}
        if self.options.profile:
            profile = profile_of(one, arguments)
            profile.parent.mkdir(parents=True, exist_ok=True)
            environment["BENCH_PROFILE"] = str(profile)
        return Process(
            (*self.options.wrap, *one.command, *arguments),
            core=self.cores.client,
            log=BUILD / "logs" / f"{one.name}-{'-'.join(arguments[:2])}.log",
            environment=environment,
        )

    def fill(self, one: Contestant, events: int) -> None:
        """Let so many events wait in its queue, and nothing else. Raises Failed."""
        with closing(Broker(self.uri)) as broker:
            broker.empty(one.queue)
            broker.fill((self.templates[one.name],), events)
            found = broker.wait_for_depth(one.queue, lambda depth: depth == events, within=30)
        if found != events:
            raise Failed(f"{found} of {events} events wait in {one.queue}")

    def waiting(self, one: Contestant, wanted: Callable[[int], bool]) -> int:
        """Return how many events wait in its queue, once it is as wanted or 5 s are over."""
        with closing(Broker(self.uri)) as broker:
            return broker.wait_for_depth(one.queue, wanted, within=5)

    def empty(self, one: Contestant) -> None:
        """Remove what waits in its queue."""
        with closing(Broker(self.uri)) as broker:
            broker.empty(one.queue)


def profile_of(one: Contestant, arguments: Sequence[str]) -> Path:
    """Name the file of a profile."""
    return BUILD / "profiles" / f"{one.name}-{'-'.join(arguments[:2])}.prof"


def seed(session: Session, one: Contestant) -> None:
    """Let a contestant make its queue, and take the event that it has sent."""
    with session.start(one, "seed") as process:
        process.wait(within=90)
    with closing(Broker(session.uri)) as broker:
        session.templates[one.name] = broker.take(one.queue)


def consume(session: Session, one: Contestant, kind: str, events: int) -> Values:
    """CPU time for each event from the first that is handled to the last, and events per second."""
    session.fill(one, events)
    with session.start(one, "consume", kind, str(events)) as process:
        done = process.wait_for("done", within=60 + events * SLOWEST)
        process.wait(within=10)
    if left := session.waiting(one, lambda depth: depth == 0):
        raise Failed(f"{left} events came back unacked")
    return {"cpu_us": done["cpu_us"], "per_second": done["per_second"]}


def publish(session: Session, one: Contestant, events: int, window: int) -> Values:
    """CPU time for each event from the first publish to the last confirm, and events per second."""
    session.empty(one)
    with session.start(one, "publish", str(events), "--window", str(window)) as process:
        done = process.wait_for("done", within=60 + events * SLOWEST)
    # One more may be there: the first one, which connects, does not count.
    if (found := session.waiting(one, lambda depth: depth >= events)) < events:
        raise Failed(f"{found} of {events} events are in the queue")
    return {"cpu_us": done["cpu_us"], "per_second": done["per_second"]}


def latency(session: Session, one: Contestant) -> Values:
    """Milliseconds from before `publish` to the handler, at a steady rate."""
    events = int(RATE * session.options.sizes.seconds)
    session.fill(one, 1)  # what the consumer handles first says that it is ready
    with session.start(one, "consume", "latency", str(events)) as consumer:
        consumer.wait_for("first", within=60)
        with session.start(one, "send", str(events), "--rate", str(RATE)) as publisher:
            sent = publisher.wait_for("sent", within=60 + events * SLOWEST)
            done = consumer.wait_for("done", within=30)
    if sent["per_second"] < RATE * 0.9:
        raise Failed(f"publishes {sent['per_second']:.0f}/s at most")
    return {"p50_ms": done["p50_ms"], "p99_ms": done["p99_ms"]}


def memory(session: Session, one: Contestant) -> Values:
    """Peak of resident memory while it works on a long queue, and how much that grows."""
    sizes = session.options.sizes
    session.fill(one, sizes.waiting if one.name == OURS else sizes.waiting // 10)
    with session.start(one, "work", str(sizes.seconds)) as process:
        done = process.wait_for("done", within=60 + sizes.seconds)
    session.empty(one)
    return {"peak_mib": done["peak_mib"], "grown_mib": done["grown_mib"]}


def first(session: Session, one: Contestant) -> Values:
    """Seconds from the start of the process to the first handled event."""
    session.fill(one, 10)
    with session.start(one, "consume", "nothing", "10") as process:
        said = process.wait_for("first", within=60)
        process.wait_for("done", within=30)
    return {"seconds": (said["ns"] - process.started_ns) / 1e9}


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: who can take part, and how it is taken."""

    name: str
    take: Callable[[Session, Contestant], Values]
    can: Callable[[Contestant], bool] = lambda _: True
    once: bool = False
    """Whatever the number of rounds: it takes long, and varies little."""


MEASURES: Final = (
    Measure("consume", lambda s, c: consume(s, c, "nothing", s.options.sizes.events)),
    Measure(
        "awaits",
        lambda s, c: consume(s, c, "awaits", s.options.sizes.events),
        can=lambda c: c.awaits,
    ),
    Measure(
        "publish",
        lambda s, c: publish(s, c, s.options.sizes.events, WINDOW),
        can=lambda c: c.window,
    ),
    Measure("single", lambda s, c: publish(s, c, s.options.sizes.single, 1)),
    Measure("latency", latency),
    Measure(
        "retry",
        lambda s, c: consume(s, c, "retry", s.options.sizes.retried),
        can=lambda c: c.retries,
    ),
    Measure("memory", memory, once=True),
    Measure("first", first),
)


def pause() -> None:
    """Let the broker finish what the measure before has left it to do."""
    time.sleep(0.2)
