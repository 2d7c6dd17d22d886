"""Wire what handles deliveries: attempts -> process -> the intake that the order asks for."""

import asyncio
import random
import socket
import time
from dataclasses import dataclass
from typing import Any, Protocol

from common.broker import Connection, Supervisor
from common.homes import Home, Order
from common.message import Delivery
from common.metrics import Metrics
from common.probes import Health
from common.topology import Topology, suspects_name
from consumer.attempt import Attempts
from consumer.calling import Caller
from consumer.in_place import LONGEST_HOLD, InPlace
from consumer.inbox import Inbox
from consumer.intake import Intake, Lane
from consumer.lanes import Highest, InArrival, Newest, Waiting
from consumer.notes import Notes
from consumer.ordered_handling import OrderedHandling
from consumer.ordered_intake import OrderedIntake
from consumer.process import Process
from consumer.registry import Registry
from consumer.settings import ConsumerSettings
from consumer.settle import Settle
from consumer.windows import Version

ANY_VERSION: Version = (0, 0)
"""Ordered homes have the same window on all."""


class Taking(Protocol):
    """What both intakes offer."""

    async def session(self, connection: Connection) -> None:
        """Consume on this connection until that is over."""

    async def drain(self, within: float) -> None:
        """Stop: start nothing more, and let finish what runs, for so many seconds."""


@dataclass(frozen=True)
class Parts:
    """What a consumer is made of, and what lasts as long as it."""

    settings: ConsumerSettings
    registry: Registry
    home: Home
    topology: Topology
    """Without what leads to the home."""
    inbox: Inbox
    caller: Caller
    health: Health
    metrics: Metrics


def intake_of(
    parts: Parts,
    tasks: asyncio.TaskGroup,
    *,
    publishing: Supervisor,
    consuming: Supervisor,
    state: Any,
) -> Taking:
    """Return what takes the group's deliveries; its tasks run in `tasks`."""
    settings, group = parts.settings, parts.settings.group
    settle = Settle(
        publishing,
        parts.inbox,
        parts.metrics,
        group=group,
        host=socket.gethostname(),
        topology=parts.topology,
        may_declare=settings.topology == "declare",
    )
    place = InPlace(skips=settings.order_on_retry == "skip") if parts.home.ordered else None
    attempts = Attempts(
        registry=parts.registry,
        group=group,
        clock=lambda: time.time_ns() // 1_000_000,
        dice=random.random,
        policy=settings.policy,
        patience=settings.patience,
        max_bytes=settings.max_event_bytes,
        state=state,
        longest_delay=None if place is None or place.skips else LONGEST_HOLD,
        max_age=settings.max_age,
    )

    def process(*, alone: bool = False) -> Process:
        return Process(
            attempts,
            parts.caller,
            parts.inbox,
            settle,
            parts.metrics,
            alone=alone,
            version=lambda: consuming.version,
            place=place,
        )

    if parts.home.ordered:
        keyed = bool(parts.home.partitions)
        notes = Notes(group, consuming, publishing)
        return OrderedIntake(
            parts.home,
            OrderedHandling(process(), attempts, notes, keyed=keyed),
            tasks,
            parts.health,
            parts.metrics,
            concurrency=settings.concurrency if keyed else 1,
            prefetch=settings.prefetch(ANY_VERSION),
            renew_after=settings.consumer_timeout / 2,
        )
    return Intake(
        Lane(group, process(), settings.concurrency, settings.prefetch),
        Lane(suspects_name(group), process(alone=True), 1, lambda _: 1),
        tasks,
        parts.health,
        parts.metrics,
        waiting_for(settings.order),
    )


def waiting_for(order: Order) -> Waiting[Delivery]:
    """Return what chooses among the deliveries in hand, where none waits for another."""
    match order:
        case "priority":
            return Highest(time.monotonic, lambda one: one.message.priority)
        case "lifo":
            return Newest(time.monotonic)
        case _:
            return InArrival()
