"""Complete an author's event (id, source, time) and write it as a message for the exchange."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from common.envelope import to_message
from common.event import Event, ExtensionValue
from common.message import Publishing
from common.topology import EVENTS, delay_name, tier_for
from producer.identity import new_id
from producer.schedule import Tick, tick_id
from producer.source import Source

Clock = Callable[[], int]
"""Returns microseconds since the Unix epoch."""

SEQUENCE = "sequence"
"""CloudEvents extension: the place of an event among those of its source, as sortable text."""


def wall_clock() -> int:
    """Return the time of day, in microseconds since the epoch."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class EventWriter:
    """Stamps events with `source`, and refuses bodies over `limit` bytes."""

    source: str
    limit: int
    clock: Clock = wall_clock

    def of_tick(self, event: Event, source: Source, tick: Tick, index: int) -> Event:
        """Complete the `index`-th event of a tick from the tick's place in time alone.

        Whoever makes it again, after a restart or in another replica, makes the same bytes, if
        the author's part is the same.
        """
        assert source.schedule is not None  # noqa: S101 - for the type checker: ticks have one
        identity = tick_id(self.source, source.name, source.schedule, tick.number, index)
        if SEQUENCE not in event.extensions:
            event = replace(event, extensions={**event.extensions, SEQUENCE: tick.sequence})
        return event.stamped(id=identity, source=self.source, time=tick.time)

    def fresh(self, event: Event) -> Event:
        """Complete an event that has no place in a schedule: a random id, and now."""
        return event.stamped(
            id=event.id or new_id(), source=self.source, time=event.time or self.now()
        )

    def made(
        self,
        type: str,  # noqa: A002 - the attribute's own name
        data: Any,
        id: str,  # noqa: A002 - the attribute's own name
        source: str,
        subject: str | None,
        extensions: Mapping[str, ExtensionValue],
    ) -> Event:
        """Make a complete event that has no place in a schedule."""
        now, source = self.now(), source or self.source
        return Event(type, data, id or new_id(), source, subject, now, None, None, extensions)

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.fromtimestamp(self.clock() / 1e6, UTC)  # to the microsecond until 2106

    def publishing(
        self, event: Event, *, priority: int | None = None, delay: float | None = None
    ) -> Publishing:
        """Write a complete event; the event type is the routing key. Raises InvalidEvent.

        `delay`, in seconds, sends it through the smallest delay tier that can hold it so long.
        """
        message = to_message(event, app_id=self.source, priority=priority, limit=self.limit)
        if delay is None:
            return Publishing(EVENTS, event.type, message)
        return Publishing(delay_name(tier_for(delay)), event.type, message, delay)
