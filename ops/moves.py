"""How a group moves to another home: from what a broker has to the steps that remain. No I/O.

What leads to the old home is led through the marker first: an exchange that hands everything to
the old home while it is bound to it, and to the new one, by its alternate exchange, as soon as it
is not. So one operation switches all types at once, and no event goes to both homes or to none.
Every state says by its bindings how far the move is, so a move that was interrupted goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import ConfigError
from common.homes import Home, begun_name, homes_of, moving_name
from common.topology import EVENTS, Binding, Exchange, Topology, return_name
from ops.differences import Found

ALL = "#"


@dataclass(frozen=True, slots=True)
class Declare:
    """Make exchanges and the bindings between them."""

    topology: Topology

    def __str__(self) -> str:
        """Name what is made."""
        return f"made {', '.join(one.name for one in self.topology.exchanges)}"


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a binding."""

    binding: Binding

    def __str__(self) -> str:
        """Name what is led where."""
        return f"bound {_said(self.binding)}"


@dataclass(frozen=True, slots=True)
class Unbind:
    """Remove a binding."""

    binding: Binding

    def __str__(self) -> str:
        """Name what is no longer led where."""
        return f"unbound {_said(self.binding)}"


@dataclass(frozen=True, slots=True)
class DeleteQueue:
    """Delete a queue. `empty`: only if nothing is in it."""

    name: str
    empty: bool

    def __str__(self) -> str:
        """Name it."""
        return f"deleted queue {self.name}"


@dataclass(frozen=True, slots=True)
class DeleteExchange:
    """Delete an exchange."""

    name: str

    def __str__(self) -> str:
        """Name it."""
        return f"deleted exchange {self.name}"


Step = Declare | Bind | Unbind | DeleteQueue | DeleteExchange


@dataclass(frozen=True, slots=True)
class Move:
    """A group's move from one home to another; `types`: what its new handlers ask for."""

    old: Home
    target: Home
    types: frozenset[str] = frozenset()

    @property
    def marker(self) -> str:
        """The exchange that leads to the old home before the switch, and to the new one after."""
        return moving_name(self.target.group, self.target)

    @property
    def way(self) -> str:
        """The exchange between the marker and a new home that is a queue."""
        return f"{self.marker}.entrance"

    @property
    def held(self) -> Binding:
        """The binding that keeps everything going to the old home."""
        return self.old.led_from(self.marker, ALL)

    def to_marker(self, type_: str) -> Binding:
        """Return what leads a type's events through the marker."""
        return Binding(EVENTS, self.marker, type_, to_exchange=True)

    def to_old(self, type_: str) -> Binding:
        """Return what leads a type's events to the old home."""
        return self.old.led_from(EVENTS, type_)

    def to_target(self, type_: str) -> Binding:
        """Return what leads a type's events to the new home."""
        return self.target.led_from(EVENTS, type_)


def origin(target: Home, found: Found) -> Home | None:
    """Return the home that the group is to leave; None where it has no other one.

    When an interrupted move has deleted it already, one that never was stands for it: nothing is
    found of it, and the rest remains. Raises ConfigError when it has several homes, or is on its
    way to another one.
    """
    others = [one for one in homes_of(target.group) if one != target]
    for one in others:
        if moving_name(target.group, one) in found.exchanges:
            raise ConfigError(
                f"group '{target.group}' is on its way to the order '{one.name}': run "
                f"`tidings topology migrate` with {one.asked_by} to its end, then move it again"
            )
    there = [one for one in others if is_there(one, found)]
    if len(there) > 1:
        names = ", ".join(one.entrance_said for one in there)
        raise ConfigError(
            f"group '{target.group}' lives in several homes besides '{target.name}': {names}; "
            "empty and delete all but one of them, it is not known which comes first"
        )
    if not there and moving_name(target.group, target) in found.exchanges:
        return others[0]
    return there[0] if there else None


def is_there(home: Home, found: Found) -> bool:
    """Tell whether the entrance of a home exists."""
    names: Mapping[str, Any] = found.exchanges if home.partitions else found.queues
    return home.entrance in names


def marker_topology(move: Move) -> Topology:
    """Return the marker, and what leads from it to the new home: an exchange, for a queue."""
    if move.target.partitions:
        return Topology((_marker(move, move.target.entrance),))
    way = move.way
    return Topology(
        exchanges=(Exchange(way, "fanout"), _marker(move, way)),
        bindings=(Binding(way, move.target.entrance),),
    )


def steps_to_target(move: Move, found: Found) -> Iterator[Step]:
    """Yield what remains until new events go to the new home only; nothing: they do.

    An event that two ways lead to one queue is in it once, so ways may overlap. Types that an old
    consumer has bound to the old home again are led away from it again.
    """
    old, waiting, there = (
        _types_of(make, found) for make in (move.to_old, move.to_marker, move.to_target)
    )
    is_held = move.held in found.bindings
    in_use = bool(is_held or old or waiting)  # if not, the end may have begun to remove it
    parts = marker_topology(move)
    if move.marker not in found.exchanges or (in_use and _incomplete(parts, found)):
        yield Declare(parts)
    if is_held or (old and not waiting and not there):
        if not is_held:
            yield Bind(move.held)
        for type_ in sorted(old):
            if type_ not in waiting:
                yield Bind(move.to_marker(type_))
            yield Unbind(move.to_old(type_))
        yield Unbind(move.held)  # the switch
        old, waiting = frozenset(), old | waiting
    for type_ in sorted((old | waiting | move.types) - there):
        yield Bind(move.to_target(type_))
    for type_ in sorted(old):
        yield Unbind(move.to_old(type_))
    for type_ in sorted(waiting):
        yield Unbind(move.to_marker(type_))


def steps_to_end(move: Move, found: Found) -> Iterator[Step]:
    """Yield what remains once the old home is empty; the marker goes last."""
    group, target = move.target.group, move.target
    back = return_name(group)
    if (before := move.old.led_from(back, group)) in found.bindings:
        yield Unbind(before)
    if (after := target.led_from(back, group)) not in found.bindings:
        yield Bind(after)
    for name in move.old.queue_names:
        if name in found.queues:
            yield DeleteQueue(name, empty=True)
    exchanges = [move.old.others, move.old.entrance] if move.old.partitions else []
    if not target.ordered:
        begun = begun_name(group)
        exchanges.append(begun)
        if begun in found.queues:
            yield DeleteQueue(begun, empty=False)
    for name in (*exchanges, move.way, move.marker):
        if name in found.exchanges:
            yield DeleteExchange(name)


def _marker(move: Move, alternate: str) -> Exchange:
    return Exchange(move.marker, "topic", (("alternate-exchange", alternate),))


def _types_of(make: Callable[[str], Binding], found: Found) -> frozenset[str]:
    """Return the types that are led as `make` says."""
    return frozenset(one.key for one in found.bindings if one == make(one.key))


def _incomplete(topology: Topology, found: Found) -> bool:
    names = {one.name for one in topology.exchanges}
    return not (found.exchanges.keys() >= names and found.bindings >= set(topology.bindings))


def _said(binding: Binding) -> str:
    return f"{binding.exchange} -> {binding.queue}  {binding.key}".rstrip()
