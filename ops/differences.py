"""What differs between the topology that is needed and the one that a broker has.

Values in, values out; `ops.management` reads the broker, `ops.topology` prints and mends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from common.homes import Home
from common.topology import EVENTS, Binding, Topology
from ops.leads import leads_of


@dataclass(frozen=True, slots=True)
class Found:
    """What a broker's virtual host has: names with types and arguments, and its bindings."""

    version: tuple[int, int]
    exchanges: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bindings: frozenset[Binding] = frozenset()
    """With their arguments sorted, as `sorted_arguments` does."""
    consumer_timeouts: Mapping[str, float] = field(default_factory=dict)
    """Seconds, of the queues that have one of their own, by argument or policy."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of a comparison. `stale`: harmless, it is only more than is needed."""

    what: str
    problem: str
    stale: Binding | None = None
    warning: bool = False
    """It works as it is."""

    def __str__(self) -> str:
        return f"{self.what}: {self.problem}"


def differences(wanted: Topology, found: Found, home: Home) -> Iterator[Difference]:
    """Compare; nothing is yielded where the broker has just what is needed."""
    yield from _of_exchanges(wanted, found)
    yield from _of_queues(wanted, found)
    needed = [sorted_arguments(one) for one in wanted.bindings]
    missing = [one for one in needed if one not in found.bindings]
    for lead in leads_of(missing):
        yield Difference(lead.said, "is missing")
    stale = (one for one in found.bindings if one == home.led_from(EVENTS, one.key))
    for binding in sorted(stale, key=lambda one: one.key):
        if binding in needed:
            continue
        for lead in leads_of([binding]):
            problem = "is stale, no handler asks for it: `apply --prune` once no old replica runs"
            yield Difference(lead.said, problem, stale=binding, warning=True)


def sorted_arguments(binding: Binding) -> Binding:
    """Return the binding with its arguments in the one order in which they can be compared."""
    return replace(binding, arguments=tuple(sorted(binding.arguments, key=lambda one: one[0])))


def _of_exchanges(wanted: Topology, found: Found) -> Iterator[Difference]:
    for exchange in wanted.exchanges:
        what = f"exchange '{exchange.name}'"
        there = found.exchanges.get(exchange.name)
        if there is None:
            yield Difference(what, "is missing")
            continue
        type_, arguments = there
        if type_ != exchange.type:
            yield Difference(what, f"is {type_}, needed is {exchange.type}")
        for name, is_, needed in _other(dict(exchange.arguments), arguments):
            yield Difference(what, f"{name} is {is_}, needed is {needed}")


def _of_queues(wanted: Topology, found: Found) -> Iterator[Difference]:
    for queue in wanted.queues:
        what = f"queue '{queue.name}'"
        there = found.queues.get(queue.name)
        if there is None:
            yield Difference(what, "is missing")
            continue
        for name, is_, needed in _other(queue.arguments_for(found.version), there):
            # Declared before an upgrade to 4.x, a queue cannot have this argument; a policy can.
            harmless = name == "x-delivery-limit" and queue.unlimited
            remedy = "; set it by a policy" if harmless else ""
            yield Difference(what, f"{name} is {is_}, needed is {needed}{remedy}", warning=harmless)


def _other(
    needed: Mapping[str, Any], there: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    for name in sorted({*needed, *there}):
        if needed.get(name) != there.get(name):
            yield name, there.get(name, "not set"), needed.get(name, "not set")
