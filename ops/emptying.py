"""When the old home of a group is empty for good, from readings of its queues. No I/O, no clock.

What a queue has ready is known at once, what consumers hold only from statistics, which are some
seconds late; and between two looks an event can go from one queue to the next. So everything must
have been empty for longer than statistics lag, with consumers, and once more without.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

LAG_SECONDS = 11.0
"""A queue tells its numbers every 5 s, and they are collected every 5 s."""
NAMED = 5
"""Queues that a line of progress names."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen in one look. `left`: messages of each queue that has some, None: unknown."""

    left: Mapping[str, int | None] = field(default_factory=dict)
    consumers: Mapping[str, int] = field(default_factory=dict)
    """Of the queues of the old home."""

    @property
    def unattended(self) -> list[str]:
        """The queues of the old home that have messages and no consumer."""
        return [name for name, count in self.consumers.items() if not count and self.left.get(name)]

    def __str__(self) -> str:
        """Say what is left and where."""
        found = [f"{count} in {name}" for name, count in self.left.items() if count is not None]
        unknown = len(self.left) - len(found)
        parts = found[:NAMED]
        if len(found) > NAMED:
            parts.append(f"some in {len(found) - NAMED} more queues")
        if unknown:
            parts.append(f"no statistics yet of {unknown} queues")
        return ", ".join(parts)


class Stage(Enum):
    """How far the emptying is."""

    LEFT = "there are messages"
    SETTLING = "none is seen, but the statistics lag"
    CONSUMED = "empty, but there are consumers"
    EMPTY = "empty, and nobody is there to fill it"


class Emptying:
    """Follows the readings; `look` tells how far it is."""

    def __init__(self, *, lag: float = LAG_SECONDS) -> None:
        self._lag = lag
        self._empty_since: float | None = None
        self._alone_since: float | None = None

    def look(self, reading: Reading, now: float) -> Stage:
        """Take a reading into account."""
        empty = not reading.left
        alone = empty and not any(reading.consumers.values())
        self._empty_since = _since(self._empty_since, now, holds=empty)
        self._alone_since = _since(self._alone_since, now, holds=alone)
        if self._empty_since is None:
            return Stage.LEFT
        if now - self._empty_since < self._lag:
            return Stage.SETTLING
        if self._alone_since is None:
            return Stage.CONSUMED
        return Stage.SETTLING if now - self._alone_since < self._lag else Stage.EMPTY


def _since(before: float | None, now: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return now if before is None else before
