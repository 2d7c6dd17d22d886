"""The homes of a group: which queues its events wait in, by the order that it promises. PURE.

A queue's arguments can never change, so each home has queue names of its own, and a group lives in
one home: in two, each event would be handled twice. `tidings topology migrate` moves it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from common.slot import PARTITIONS, SLOT, slots_of
from common.topology import (
    QUORUM,
    SAFE_DEAD_LETTERING,
    Arguments,
    Binding,
    Exchange,
    Queue,
    Topology,
    dead_name,
)

Order = Literal["any", "fifo", "lifo", "priority", "key"]

DELIVERY_LIMIT = 20
"""Failed deliveries after which the broker dead-letters by itself: a last net, not a policy."""
OTHERS = "other"
"""The partition of events without a slot."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the events of `group` wait. `partitions` 0: in one queue.

    In an `ordered` home one consumer at a time gets a queue's events, and nothing that the broker
    counts ends an event: what came back too often is handled where it stands.
    """

    group: str
    ordered: bool = False
    partitions: int = 0

    @property
    def name(self) -> str:
        """A word for it: `any`, `fifo`, `key16`."""
        if self.partitions:
            return f"key{self.partitions}"
        return "fifo" if self.ordered else "any"

    @property
    def entrance(self) -> str:
        """The queue, or with partitions the exchange, that everything for the group is led to."""
        return f"{self.group}.{self.name}" if self.ordered else self.group

    @property
    def asked_by(self) -> str:
        """The settings of a consumer that lives here."""
        if self.partitions:
            return f"TIDINGS_ORDER=key TIDINGS_PARTITIONS={self.partitions}"
        return "TIDINGS_ORDER=fifo" if self.ordered else "TIDINGS_ORDER=any (or lifo, priority)"

    @property
    def entrance_said(self) -> str:
        """The entrance as errors name it."""
        return f"{'exchange' if self.partitions else 'queue'} '{self.entrance}'"

    @property
    def others(self) -> str:
        """The queue of events without a slot; with partitions only."""
        return f"{self.entrance}.{OTHERS}"

    @property
    def queue_names(self) -> tuple[str, ...]:
        """Return every queue; with partitions, that of events without a slot last."""
        if not self.partitions:
            return (self.entrance,)
        return (*(self.partition(number) for number in range(self.partitions)), self.others)

    def partition(self, number: int) -> str:
        """Name the queue of a partition."""
        return f"{self.entrance}.{number}"

    def led_from(self, exchange: str, key: str) -> Binding:
        """Return the binding that leads here what `exchange` has under `key`."""
        return Binding(exchange, self.entrance, key, to_exchange=bool(self.partitions))


def home_of(group: str, order: Order, partitions: int) -> Home:
    """Return the home of a group with this order; `partitions` matters with `key` only."""
    match order:
        case "any" | "lifo" | "priority":
            return Home(group)
        case "fifo":
            return Home(group, ordered=True)
        case "key":
            return Home(group, ordered=True, partitions=partitions)


def homes_of(group: str) -> Iterator[Home]:
    """Yield every home that the group can have."""
    yield home_of(group, "any", 0)
    yield home_of(group, "fifo", 0)
    for count in PARTITIONS:
        yield home_of(group, "key", count)


def begun_name(group: str) -> str:
    """Name the exchange and queue of notes: which suspect was begun alone, where it stands."""
    return f"{group}.begun"


def looking_name(group: str) -> str:
    """Name the exclusive queue of the replica that looks at the notes."""
    return f"{group}.looking"


def sharing_name(group: str) -> str:
    """Name the exclusive queue of the replica that takes partitions."""
    return f"{group}.sharing"


def moving_name(group: str, home: Home) -> str:
    """Name the exchange that is there while `tidings topology migrate` moves a group to a home."""
    return f"{group}.to-{home.name}"


def home_topology(home: Home) -> Topology:
    """Return what the home itself is made of; nothing leads to it yet."""
    queues = tuple(_queue(home, name) for name in home.queue_names)
    if not home.ordered:
        return Topology(queues=queues)
    begun = begun_name(home.group)
    notes = Topology((Exchange(begun, "fanout"),), (Queue(begun),), (Binding(begun, begun),))
    if not home.partitions:
        return Topology(queues=queues) + notes
    return notes + Topology(
        exchanges=(
            Exchange(home.others, "fanout"),
            Exchange(home.entrance, "headers", (("alternate-exchange", home.others),)),
        ),
        queues=queues,
        bindings=(
            Binding(home.others, home.others),
            *(
                Binding(
                    home.entrance,
                    home.partition(number),
                    arguments=((SLOT, slot), ("x-match", "all")),
                )
                for number in range(home.partitions)
                for slot in slots_of(number, home.partitions)
            ),
        ),
    )


def _queue(home: Home, name: str) -> Queue:
    arguments: Arguments = (
        *QUORUM,
        ("x-dead-letter-exchange", dead_name(home.group)),
        ("x-dead-letter-routing-key", home.group),
        *SAFE_DEAD_LETTERING,
    )
    if home.ordered:
        return Queue(name, (*arguments, ("x-single-active-consumer", True)))
    return Queue(name, (*arguments, ("x-delivery-limit", DELIVERY_LIMIT)), unlimited=False)
