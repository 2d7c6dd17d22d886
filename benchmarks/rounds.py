"""Runs all contestants in turn, A B C, A B C: what the machine does meanwhile meets them all."""

import pstats
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.amqp import BrokerRefused
from benchmarks.contestants import Contestant
from benchmarks.measures import MEASURES, Measure, Session, Values, pause, profile_of, seed
from benchmarks.running import Failed

GIVE_UP: Final = 2
"""Failed rounds after which a measure of a contestant is left."""

Result = Values | str | None
"""Medians; or why there are none; None: it does not take part."""


@dataclass(slots=True)
class Results:
    """What came out, by measure and contestant."""

    taken: dict[tuple[str, str], list[Values]] = field(default_factory=dict)
    failed: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Reasons, one for each round that failed."""
    out: dict[str, str] = field(default_factory=dict)
    """Contestants that could not begin, and why."""

    def of(self, measure: str, contestant: str) -> Result:
        """Return a cell."""
        key = (measure, contestant)
        if reason := self.out.get(contestant):
            return f"failed: {reason}"
        if not (rounds := self.taken.get(key)):
            return f"failed: {self.failed[key][0]}" if key in self.failed else None
        return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}

    def remarks(self) -> list[str]:
        """Return a line for each cell that stands in spite of a failed round."""
        return [
            f"- {contestant}, {measure}: a round failed: {reasons[0]}"
            for (measure, contestant), reasons in self.failed.items()
            if (measure, contestant) in self.taken
        ]


def run(session: Session, contestants: Sequence[Contestant], results: Results) -> None:
    """Take all measures that are asked for; a failure is a cell, and the run goes on."""
    there = []
    for one in contestants:
        if one.name in results.out:
            continue
        try:
            seed(session, one)
            there.append(one)
        except (Failed, BrokerRefused, OSError) as error:
            results.out[one.name] = str(error)
            print(f"{one.name}: cannot begin: {error}", flush=True)
    for measure in MEASURES:
        if measure.name not in session.options.what:
            continue
        began = time.monotonic()
        rounds = 1 if measure.once else session.options.sizes.rounds
        for number in range(1, rounds + 1):
            for one in there:
                failures = results.failed.get((measure.name, one.name), ())
                if measure.can(one) and len(failures) < GIVE_UP:
                    _take(session, measure, one, results, f"{number}/{rounds}")
        print(f"{measure.name}: {time.monotonic() - began:.0f} s", flush=True)


def _take(
    session: Session, measure: Measure, one: Contestant, results: Results, number: str
) -> None:
    key = (measure.name, one.name)
    pause()
    try:
        values = measure.take(session, one)
    except (Failed, BrokerRefused, OSError) as error:
        results.failed.setdefault(key, []).append(str(error))
        print(f"{measure.name} {number}  {one.name:<11} failed: {error}", flush=True)
        return
    results.taken.setdefault(key, []).append(values)
    said = "  ".join(f"{name} {value:,.1f}" for name, value in values.items())
    print(f"{measure.name} {number}  {one.name:<11} {said}", flush=True)
    if session.options.profile:
        _print_profiles(one)


def _print_profiles(one: Contestant) -> None:
    for path in profile_of(one, ("x",)).parent.glob(f"{one.name}-*.prof"):
        print(f"\n{path}")
        pstats.Stats(str(path)).sort_stats("tottime").print_stats(30)
        path.rename(path.with_suffix(".pstats"))
