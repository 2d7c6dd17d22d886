"""One cell: a contestant and an experiment, in a virtual host of their own."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Final

from benchmarks.amqp import Broker, BrokerRefused
from benchmarks.contestants import BUILD, OURS, ROOT
from benchmarks.peers.measuring import MARKER
from benchmarks.peers.safety_events import BAD, NEIGHBOURS
from benchmarks.safety import copies, journal
from benchmarks.safety.contestants import Entry
from benchmarks.safety.hosts import Host, Hosts
from benchmarks.safety.journal import Quiet
from benchmarks.safety.judge import Cell, Seen, Verdict, judge
from benchmarks.safety.services import Service, send

WARM_UP_SECONDS: Final = 40.0
"""A consumer must have handled an ordinary event within this time."""
SEND_AGAIN_SECONDS: Final = 5.0
LIMIT_SECONDS: Final = 40.0
LIMIT_SECONDS_OF_CRASH: Final = 120.0
QUIET_SECONDS: Final = 12.0
"""When handlers were silent for so long, nothing more is expected."""
QUIET_SECONDS_OF_OURS: Final = 50.0
"""Ours waits up to 32 s between two trials of an event that has killed a process."""
STARTS: Final = 25
"""Of the bad handler, at most: more than the 20 deliveries that RabbitMQ 4 allows by itself."""
MID_HANDLER_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 0.02
WARM_UP, JOURNAL = "warm-up", "journal"
"""Files in which handlers say what they do."""


class NotRun(Exception):
    """A cell has no result; says why in a few words."""


class Experiment:
    """Runs one cell."""

    def __init__(self, entry: Entry, what: str, host: Host, stop: Event) -> None:
        self._entry = entry
        self._what = what
        self._host = host
        self._stop = stop
        self._folder = BUILD / "safety" / f"{entry.name}-{what}"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._starts = 0

    def run(self) -> Cell:
        """Warm up, send the events, let it work on them, and look. Raises NotRun."""
        self._warm_up()
        self._fill()
        if self._what == "kill":
            self._kill_in_the_middle()
        ending = self._supervise()
        time.sleep(1)  # the broker takes back what ended processes held
        queues = self._host.queues()
        seen = Seen(
            what=self._what,
            journal=journal.read(self._folder / JOURNAL),
            messages=self._host.take_all(),
            queues=queues,
            starts=self._starts,
            ending=ending,
        )
        return judge(self._entry, seen)

    def _warm_up(self) -> None:
        """Let it make its queues, and show that it handles an event when nothing is wrong."""
        deadline = time.monotonic() + WARM_UP_SECONDS
        with self._consumer(WARM_UP) as consumer:
            while not self._host.has(self._entry.queue):
                self._go_on(consumer, deadline, "it has not made its queue")
            while ("handled", MARKER) not in journal.read(self._folder / WARM_UP):
                self._publish()  # again: what is sent before it is bound is lost with some
                again = time.monotonic() + SEND_AGAIN_SECONDS
                while time.monotonic() < again and not journal.read(self._folder / WARM_UP):
                    self._go_on(consumer, deadline, "it has not handled an ordinary event")
            consumer.stop()

    def _fill(self) -> None:
        """Fill its queue, while nobody consumes."""
        try:
            broker = Broker(self._host.uri)
            with contextlib.closing(broker):
                broker.empty(self._entry.queue)
                self._publish()
                sent = broker.take(self._entry.queue)
                events = copies.events(sent, self._what, type_is_key=self._entry.type_is_key)
                for one in events:
                    broker.fill((one,), 1)
                wanted = sum(one.routing_key == sent.routing_key for one in events)
                waiting = broker.wait_for_depth(self._entry.queue, wanted.__eq__, 10)
                if waiting != wanted:
                    raise NotRun(f"{waiting} events lie in its queue, where {wanted} belong")
        except BrokerRefused as error:
            raise NotRun(str(error)) from error

    def _kill_in_the_middle(self) -> None:
        """Kill it while it handles the bad event."""
        deadline = time.monotonic() + LIMIT_SECONDS
        with self._consumer(JOURNAL) as consumer:
            while ("began", BAD) not in journal.read(self._folder / JOURNAL):
                self._go_on(consumer, deadline, "its handler has not begun")
            time.sleep(MID_HANDLER_SECONDS)

    def _supervise(self) -> str:
        """Start it, again each time it ends. Returns why there is nothing more to expect."""
        crash = self._what == "crash"
        patient = crash and self._entry.name == OURS
        quiet = Quiet(QUIET_SECONDS_OF_OURS if patient else QUIET_SECONDS)
        limit = LIMIT_SECONDS_OF_CRASH if crash else LIMIT_SECONDS
        deadline = time.monotonic() + limit
        while True:
            with self._consumer(JOURNAL) as consumer:
                while consumer.runs:
                    if self._stop.wait(LOOK_SECONDS):
                        raise NotRun("stopped")
                    lines = journal.read(self._folder / JOURNAL)
                    over = time.monotonic() > deadline
                    ending = f"watched for {limit:.0f} s" if over else ended(lines, quiet)
                    if ending:
                        consumer.stop()
                        return ending

    def _consumer(self, file: str) -> Service:
        self._starts += file == JOURNAL
        more = {"SAFETY_START": str(self._starts), "SAFETY_JOURNAL": str(self._folder / file)}
        command = self._entry.consumer(self._host.uri)
        return Service(command, self._environment | more, self._folder / "log")

    def _publish(self) -> None:
        try:
            send(self._entry.sender(), self._environment, self._folder / "log")
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise NotRun(f"its publisher failed; see {self._log}") from error

    @property
    def _environment(self) -> dict[str, str]:
        return {"AMQP_URI": self._host.uri, "SAFETY_WHAT": self._what, **self._entry.environment}

    @property
    def _log(self) -> Path:
        return (self._folder / "log").relative_to(ROOT)

    def _go_on(self, consumer: Service, deadline: float, problem: str) -> None:
        if self._stop.wait(LOOK_SECONDS):
            raise NotRun("stopped")
        if not consumer.runs or time.monotonic() > deadline:
            raise NotRun(f"{problem}; see {self._log}")


def ended(lines: Sequence[journal.Line], quiet: Quiet) -> str:
    """Say why nothing more is to be expected; empty while something is."""
    if all(("handled", name) in lines for name in (*NEIGHBOURS, BAD)):
        return "all handled"
    if lines.count(("began", BAD)) >= STARTS:
        return f"given up after {STARTS} starts of its handler"
    if quiet.lasts(len(lines)):
        return f"watched until no handler had begun or ended for {quiet.seconds:.0f} s"
    return ""


def run(entry: Entry, what: str, hosts: Hosts, stop: Event) -> Cell:
    """Run a cell; one that cannot be run says so."""
    try:
        with hosts.one(f"safety-{entry.name}-{what}") as host:
            return Experiment(entry, what, host, stop).run()
    except (NotRun, OSError) as error:
        return Cell(Verdict.NOT_RUN, how=str(error))
