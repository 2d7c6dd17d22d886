"""The faults that are tested, by number; the numbers are those of the research. PURE.

A test carries `@pytest.mark.fault("P6")`, or several numbers. A new row here needs a test at once:
`make faults` fails without one. `later` is for what is not built yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

ANY_BROKER = ""
"""The kind of a test that needs no broker: it counts for every one."""


class Fault(NamedTuple):
    """A row: what goes wrong."""

    number: str
    what: str
    later: bool = False


FAULTS = (
    Fault("P1", "the broker is down when the producer starts"),
    Fault("P2", "the broker dies in the midst of publishing"),
    Fault("P3", "the connection is cut between publish and confirm"),
    Fault("P4", "the confirm is lost"),
    Fault("P5", "a full queue refuses the event"),
    Fault("P6", "no queue takes the event: events.unrouted is deleted"),
    Fault("P7", "the broker is out of memory and blocks publishers"),
    Fault("P8", "the exchange is deleted"),
    Fault("P9", "another event's error closes the channel"),
    Fault("P10", "wrong password, virtual host or rights"),
    Fault("P11", "TLS: wrong CA, wrong host, expired, or none"),
    Fault("P12", "the outbox has reached its quota"),
    Fault("P13", "kill -9 between the disk and the confirm"),
    Fault("P14", "kill -9 between the confirm and the removal"),
    Fault("P15", "the clock is set, or the process was stopped"),
    Fault("P16", "two replicas of one producer"),
    Fault("P17", "SIGTERM with a thousand events under way"),
    Fault("P18", "publish while there is no broker"),
    Fault("C19", "kill -9 in the midst of a handler"),
    Fault("C20", "an event that kills its process"),
    Fault("C21", "a handler hangs, or blocks the loop"),
    Fault("C22", "a handler raises whatever can be raised"),
    Fault("C23", "the ack is lost"),
    Fault("C24", "the connection is lost while a handler runs"),
    Fault("C25", "the broker gives out again what still runs"),
    Fault("C26", "the queue is deleted"),
    Fault("C27", "a rolling upgrade of three nodes", later=True),
    Fault("C28", "the broker ends the consumer, or its channel"),
    Fault("C29", "SIGTERM while handlers run"),
    Fault("C30", "the drain deadline is over before the handlers are"),
    Fault("C31", "a body that is no JSON, or hostile JSON"),
    Fault("C32", "not a CloudEvent, or half of one"),
    Fault("C33", "a huge body, a JSON bomb"),
    Fault("C34", "forged or odd headers, and none"),
    Fault("C35", "a property that cannot be read"),
    Fault("C36", "a used id, with the same content and with other"),
    Fault("C37", "a delay tier is missing or full"),
    Fault("C38", "the dead letters' queue is missing or full"),
    Fault("C39", "a handler over the broker's consumer timeout"),
    Fault("C40", "the inbox is locked, full or gone"),
    Fault("C41", "what a handler needs is away for ten minutes", later=True),
    Fault("C42", "all consumers connect again at once"),
    Fault("C43", "a partition, on the side of the minority", later=True),
    Fault("C44", "a connection that is half open"),
    Fault("C45", "clocks that differ by an hour"),
    Fault("C46", "the broker has another address"),
    Fault("O1", "kill -9 before the commit"),
    Fault("O2", "kill -9 during the commit"),
    Fault("O3", "kill -9 after the commit, before the publish"),
    Fault("O4", "kill -9 after the publish, before the confirm"),
    Fault("O5", "kill -9 after the confirm, before the removal"),
    Fault("O6", "what is confirmed cannot be removed"),
    Fault("O7", "refused for good, or again and again"),
)


@dataclass(slots=True)
class Outcome:
    """What became of one test on one kind of broker."""

    test: str
    kind: str
    passed: bool = False
    failed: bool = False


@dataclass(slots=True)
class Row:
    """A row as it is printed. `problem`: why it fails the run."""

    number: str
    what: str
    tests: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    problem: str = ""


def rows(outcomes: Mapping[str, Sequence[Outcome]], kinds: Sequence[str]) -> list[Row]:
    """Make the table of the outcomes of each number; results are in the order of `kinds`."""
    return [_row(fault, outcomes.get(fault.number, ()), kinds) for fault in FAULTS]


def _row(fault: Fault, outcomes: Sequence[Outcome], kinds: Sequence[str]) -> Row:
    row = Row(fault.number, fault.what, sorted({one.test for one in outcomes}))
    if not outcomes:
        row.results = ["later" if fault.later else "no test"] * len(kinds)
        row.problem = "" if fault.later else f"{fault.number} has no test"
        return row
    row.results = [
        _result(one for one in outcomes if one.kind in (kind, ANY_BROKER)) for kind in kinds
    ]
    for kind, result in zip(kinds, row.results, strict=True):
        if result != "passed":
            row.problem = f"{fault.number} on {kind}: {result}"
    return row


def _result(outcomes: Iterable[Outcome]) -> str:
    found = list(outcomes)
    if any(one.failed for one in found):
        return "FAILED"
    if any(one.passed for one in found):
        return "passed"
    return "skipped" if found else "not run"
