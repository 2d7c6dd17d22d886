"""What each order of a group costs: a backlog is drained by consumers that are up already."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.amqp import Broker, BrokerRefused, Template
from benchmarks.contestants import BUILD
from benchmarks.cores import Cores
from benchmarks.measures import Values, pause
from benchmarks.peers.tidings_order import QUEUE, SUBJECTS
from benchmarks.rounds import GIVE_UP, Results
from benchmarks.running import Failed, Process
from benchmarks.settings import Sizes
from benchmarks.tables import aligned
from common.homes import Home, Order, home_of
from consumer.shares import fair_share
from consumer.windows import LINE

MEASURE: Final = "order"
PARTITIONS: Final = 16
REPLICAS: Final = 3
SLOWEST: Final = 0.005
"""Seconds that an event may take: only what hangs is ended."""
LOOK_SECONDS: Final = 0.25
"""Between two questions how far the consumers are."""
ACKS_SECONDS: Final = 0.3
"""How long the last acks may take to get out, after the last event was handled."""
SETTINGS: Final = {
    "TIDINGS_CONCURRENCY": "80",
    "TIDINGS_HANDLER_TIMEOUT": "300s",  # the first ones wait until all is there
    "TIDINGS_LOG_FORMAT": "json",
    "TIDINGS_PARTITIONS": str(PARTITIONS),
    "TIDINGS_PROBES_PORT": "0",
}


@dataclass(frozen=True, slots=True)
class Way:
    """A row: an order, and how it is run."""

    label: str
    order: Order
    replicas: int = 1
    single: bool = False
    """One handler at a time, with the window of `fifo`."""

    @property
    def home(self) -> Home:
        """Where the events wait; a group for each order, as a group has one home."""
        return home_of(f"bench-order-{self.order}", self.order, PARTITIONS)

    @property
    def settings(self) -> dict[str, str]:
        """The environment of its consumers."""
        one = {"TIDINGS_CONCURRENCY": "1", "TIDINGS_WINDOW": str(LINE)} if self.single else {}
        return {**SETTINGS, "TIDINGS_ORDER": self.order, "TIDINGS_GROUP": self.home.group, **one}


ANY: Final = Way("any", "any")
SINGLE: Final = Way("any, one at a time", "any", single=True)
FIFO: Final = Way("fifo", "fifo")
KEY: Final = Way("key", "key")
PRIORITY: Final = Way("priority", "priority")
LIFO: Final = Way("lifo", "lifo")
ANY_SHARED: Final = Way(f"any, {REPLICAS} processes", "any", replicas=REPLICAS)
KEY_SHARED: Final = Way(f"key, {REPLICAS} processes", "key", replicas=REPLICAS)
WAYS: Final = (ANY, KEY, PRIORITY, LIFO, SINGLE, FIFO, ANY_SHARED, KEY_SHARED)
"""What is compared stands side by side, so that it is measured within seconds."""


class Bench:
    """Drains backlogs on one broker."""

    def __init__(self, uri: str, cores: Cores, events: int) -> None:
        self._uri = uri
        self._cores = cores
        self._events = events
        self._plain: list[Template] = []
        self._urgent: list[Template] = []

    def prepare(self) -> None:
        """Let each home be made, and take what our producer sends."""
        for way in (ANY, FIFO, KEY, PRIORITY, LIFO):
            with self._consumer(way, 0) as process:
                process.wait_for("subscribed", within=60)
        self._plain = self._templates("plain")
        self._urgent = self._templates("priorities")

    def drain(self, way: Way) -> Values:
        """Fill the home while consumers wait, let them begin, and time them until it is empty."""
        self._empty(way.home)
        with ExitStack() as stack:
            consumers = [
                stack.enter_context(self._consumer(way, number)) for number in range(way.replicas)
            ]
            self._wait_until_shared(way, consumers)
            self._fill(way)
            for one in consumers:
                one.tell("go")
            deadline = time.monotonic() + 30 + self._events * SLOWEST
            while (count := sum(told["count"] for told in _ask(consumers))) < self._events:
                if time.monotonic() > deadline:
                    raise Failed(f"{count} of {self._events} events are handled")
                time.sleep(LOOK_SECONDS)
            time.sleep(ACKS_SECONDS)
            ends = _ask(consumers)
        self._check(way.home, int(sum(told["count"] for told in ends)))
        busy = [told for told in ends if told["count"]]
        wall = max(told["last"] for told in busy) - min(told["first"] for told in busy)
        cpu = sum(told["cpu"] for told in ends)
        return {"cpu_us": cpu / self._events * 1e6, "per_second": self._events / wall}

    def _wait_until_shared(self, way: Way, consumers: Sequence[Process]) -> None:
        """Until none has more than its share, and each partition is somebody's.

        Two may hold the same one: then one of them stands by, so they may have more in sum.
        """
        for one in consumers:
            while one.wait_for("subscribed", within=60)["queue"] != way.home.entrance:
                pass
        if not way.home.partitions:
            return
        held = [0] * len(consumers)
        most = fair_share(way.home.partitions, way.replicas)
        deadline = time.monotonic() + 60
        with closing(Broker(self._uri)) as broker:
            while (
                sum(held) < way.home.partitions
                or max(held) > most
                or not all(broker.consumers(queue) for queue in way.home.queue_names)
            ):
                if time.monotonic() > deadline:
                    raise Failed(f"partitions are shared as {held}")
                time.sleep(0.1)
                for number, one in enumerate(consumers):
                    for told in one.heard():
                        held[number] = told.get("held", 0)  # `subscribed`: it begins anew

    def _consumer(self, way: Way, number: int) -> Process:
        name = way.label.replace(", ", "-").replace(" ", "-")
        return Process(
            (
                sys.executable,
                "-m",
                "tidings",
                "consumer",
                "benchmarks.peers.tidings_order_handlers",
            ),
            core=self._cores.client,
            log=BUILD / "logs" / f"order-{name}-{number}.log",
            environment={"AMQP_URI": self._uri, **way.settings},
            log_events=("subscribed", "partitions_taken"),
            told=True,
        )

    def _templates(self, kind: str) -> list[Template]:
        with Process(
            (sys.executable, "-m", "benchmarks.peers.tidings_order", kind),
            core=self._cores.client,
            log=BUILD / "logs" / f"order-seed-{kind}.log",
            environment={"AMQP_URI": self._uri},
        ) as process:
            process.wait(within=90)
        with closing(Broker(self._uri)) as broker:
            return [broker.take(QUEUE) for _ in range(SUBJECTS)]

    def _fill(self, way: Way) -> None:
        home = way.home
        templates = self._urgent if way.order == "priority" else self._plain
        there = (home.entrance, "") if home.partitions else ("", home.entrance)
        led = [replace(one, exchange=there[0], routing_key=there[1]) for one in templates]
        with closing(Broker(self._uri)) as broker:
            broker.fill(led, self._events)

    def _empty(self, home: Home) -> None:
        with closing(Broker(self._uri)) as broker:
            for queue in home.queue_names:
                if broker.depth(queue):
                    broker.empty(queue)

    def _check(self, home: Home, count: int) -> None:
        if count != self._events:
            raise Failed(f"{count} events are handled, {self._events} were there")
        with closing(Broker(self._uri)) as broker:
            for queue in home.queue_names:
                if left := broker.wait_for_depth(queue, lambda depth: depth == 0, within=5):
                    raise Failed(f"{left} events came back unacked to {queue}")


def measure(uri: str, cores: Cores, sizes: Sizes, results: Results) -> None:
    """Take all rounds, in turns; a failure is a cell."""
    began = time.monotonic()
    bench = Bench(uri, cores, sizes.ordered)
    try:
        bench.prepare()
    except (Failed, BrokerRefused, OSError) as error:
        print(f"{MEASURE}: cannot begin: {error}", flush=True)
        for way in WAYS:
            results.failed[MEASURE, way.label] = [str(error)]
        return
    for number in range(1, sizes.turns + 1):
        for way in WAYS:
            failures = results.failed.get((MEASURE, way.label), [])
            if len(failures) >= GIVE_UP:
                continue
            pause()
            try:
                values = bench.drain(way)
            except (Failed, BrokerRefused, OSError) as error:
                results.failed[MEASURE, way.label] = [*failures, str(error)]
                said = f"failed: {error}"
            else:
                results.taken.setdefault((MEASURE, way.label), []).append(values)
                said = "  ".join(f"{name} {value:,.1f}" for name, value in values.items())
            print(f"{MEASURE} {number}/{sizes.turns}  {way.label:<18} {said}", flush=True)
    print(f"{MEASURE}: {time.monotonic() - began:.0f} s", flush=True)


def render(results: Results) -> list[str]:
    """Return the lines of a Markdown table, or none when nothing of it was measured."""
    rows = [["", "events/s", "of `any`", "CPU µs", "µs of time"]]
    for way in WAYS:
        found = results.of(MEASURE, way.label)
        if isinstance(found, dict):
            rate = found["per_second"]
            beside = results.of(MEASURE, (ANY if way.replicas == 1 else ANY_SHARED).label)
            part = f"{rate / beside['per_second']:.2f}" if isinstance(beside, dict) else "—"
            cells = [f"{rate:,.0f}", part, f"{found['cpu_us']:.1f}", f"{1e6 / rate:.1f}"]
            rows.append([way.label, *cells])
        elif found is not None:
            rows.append([way.label, found.replace("|", "/"), "—", "—", "—"])
    return ["### Order", "", *aligned(rows), ""] if len(rows) > 1 else []


def _ask(consumers: Sequence[Process]) -> list[dict[str, float]]:
    for one in consumers:
        one.tell("count")
    return [one.wait_for("so_far", within=30) for one in consumers]
