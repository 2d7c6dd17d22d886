"""What differs between the topology that is needed and the one that a broker has.

Values in, values out; `ops.management` reads the broker, `ops.topology` prints and mends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.topology import EVENTS, Binding, Topology


@dataclass(frozen=True, slots=True)
class Found:
    """What a broker's virtual host has: names with types and arguments, and its bindings."""

    version: tuple[int, int]
    exchanges: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bindings: frozenset[Binding] = frozenset()
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


def differences(wanted: Topology, found: Found, group: str) -> Iterator[Difference]:
    """Compare; nothing is yielded where the broker has just what is needed."""
    yield from _of_exchanges(wanted, found)
    yield from _of_queues(wanted, found)
    for binding in wanted.bindings:
        if binding not in found.bindings:
            yield Difference(_said(binding), "is missing")
    for binding in sorted(found.bindings - set(wanted.bindings), key=_said):
        if binding.queue == group and binding.exchange == EVENTS:
            yield Difference(
                _said(binding),
                "is stale, no handler asks for it: `apply --prune` once no old replica runs",
                stale=binding,
                warning=True,
            )


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


def _said(binding: Binding) -> str:
    return f"binding of queue '{binding.queue}' to '{binding.exchange}' by '{binding.key}'"
