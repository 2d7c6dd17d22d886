"""Exchanges, queues, bindings and delay tiers as values; nothing here talks to a broker. PURE.

The arguments are constants, held by a golden file in the tests: a queue's arguments can never be
changed in place, so a change here is a new queue name. Why each is as it is: docs/architecture.md.
"""

import math
from dataclasses import dataclass

Arguments = tuple[tuple[str, str | int], ...]

EVENTS = "events"
UNROUTED = "events.unrouted"
UNROUTED_MAX_BYTES = 1024**3
LARGEST_TIER = 2**22
"""Seconds (48 days), the longest delay: a TTL is at most 2^32 - 1 milliseconds."""
FIRST_VERSION_WITH_UNLIMITED = (4, 0)
"""From 4.0 a quorum queue has a default delivery limit and `-1` lifts it; on 3.x `-1` means 0."""

QUORUM: Arguments = (("x-queue-type", "quorum"),)
SAFE_DEAD_LETTERING: Arguments = (
    ("x-dead-letter-strategy", "at-least-once"),
    ("x-overflow", "reject-publish"),  # without it the strategy silently falls back
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str
    arguments: Arguments = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue. `unlimited`: it must have no delivery limit on any version."""

    name: str
    arguments: Arguments = QUORUM
    unlimited: bool = True

    def arguments_for(self, version: tuple[int, int]) -> dict[str, str | int]:
        """Return the arguments to declare it with on a broker of this version."""
        arguments = dict(self.arguments)
        if self.unlimited and version >= FIRST_VERSION_WITH_UNLIMITED:
            arguments["x-delivery-limit"] = -1
        return arguments


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of `exchange` whose routing key matches `key` go to `queue`.

    `arguments` are the headers that a headers exchange asks for; `to_exchange`: the destination
    is an exchange of that name.
    """

    exchange: str
    queue: str
    key: str = ""
    arguments: Arguments = ()
    to_exchange: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """What has to exist; declared in the order exchanges, queues, bindings."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __add__(self, other: "Topology") -> "Topology":
        """Join two topologies; what both have stands once."""
        return Topology(
            tuple(dict.fromkeys(self.exchanges + other.exchanges)),
            tuple(dict.fromkeys(self.queues + other.queues)),
            tuple(dict.fromkeys(self.bindings + other.bindings)),
        )


def events_topology() -> Topology:
    """What the producer needs: the topic exchange, and a home for what nobody is bound for."""
    return Topology(
        exchanges=(
            Exchange(UNROUTED, "fanout"),
            Exchange(EVENTS, "topic", (("alternate-exchange", UNROUTED),)),
        ),
        queues=(
            Queue(
                UNROUTED,
                (
                    *QUORUM,
                    ("x-max-length-bytes", UNROUTED_MAX_BYTES),
                    ("x-overflow", "reject-publish"),
                ),
            ),
        ),
        bindings=(Binding(UNROUTED, UNROUTED),),
    )


def dead_name(group: str) -> str:
    """Name the exchange and queue of a group's dead letters."""
    return f"{group}.dead"


def return_name(group: str) -> str:
    """Name the exchange that leads back into a group's queue, and nowhere else."""
    return f"{group}.return"


def suspects_name(group: str) -> str:
    """Name the exchange and queue of events that may have killed a process."""
    return f"{group}.suspects"


def tier_name(group: str, seconds: int) -> str:
    """Name the exchange and queue of one delay tier."""
    return f"{group}.delay.v1.{seconds}s"


def tier_for(delay: float) -> int:
    """Return the smallest tier, in seconds, that holds a message for `delay` seconds."""
    if delay <= 1:
        return 1
    return min(LARGEST_TIER, 1 << math.ceil(math.log2(delay)))


def tiers_up_to(delay: float) -> tuple[int, ...]:
    """Return every tier a policy can ask for whose longest delay is this."""
    return tuple(2**power for power in range(int(math.log2(tier_for(delay))) + 1))


def tier_topology(group: str, seconds: int) -> Topology:
    """One delay tier: a fanout exchange and a queue of one name.

    The routing key is kept, so that the return exchange finds the group's queue by it. A full or
    missing queue at the far end holds the retry here, at least once.
    """
    name = tier_name(group, seconds)
    return Topology(
        exchanges=(Exchange(name, "fanout"),),
        queues=(
            Queue(
                name,
                (
                    *QUORUM,
                    ("x-message-ttl", seconds * 1000),
                    ("x-dead-letter-exchange", return_name(group)),
                    *SAFE_DEAD_LETTERING,
                ),
            ),
        ),
        bindings=(Binding(name, name),),
    )


def delay_name(seconds: int) -> str:
    """Name the exchange and queue of one tier for events that are published with a delay."""
    return f"{EVENTS}.delay.v1.{seconds}s"


def delay_topology(seconds: int) -> Topology:
    """One tier for delayed events: when their time is over they go to `events`, by their type."""
    name = delay_name(seconds)
    arguments: Arguments = (
        *QUORUM,
        ("x-message-ttl", seconds * 1000),
        ("x-dead-letter-exchange", EVENTS),
        *SAFE_DEAD_LETTERING,
    )
    return Topology((Exchange(name, "fanout"),), (Queue(name, arguments),), (Binding(name, name),))
