"""When a tick is due, and which identity its place in time gives it. PURE: the time is an argument.

A tick is named by its place on the wall clock's grid and not by a count since the start, so a
restarted producer and a second replica give the same tick the same number, time and id. Times are
whole microseconds since the Unix epoch: a float of seconds since the epoch is off by up to 0.1 µs,
and adding up floats would drift. What is due now is decided in `producer.ticks`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

from common.duration import readable, seconds

SECOND_US = 1_000_000
SHORTEST_US = 10_000
"""Shortest interval: below it the loop's own timing errors are of the size of the interval."""
LONGEST_US = 366 * 86_400 * SECOND_US

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICKS = UUID("5b0a4a0e-6f0c-5f0e-9d4c-5d1c1f1f9a53")
"""Namespace of tick ids: changing it would give every tick of the past a second identity."""


class Schedule(Protocol):
    """A grid of moments at which ticks are due, without beginning or end."""

    @property
    def identity(self) -> str:
        """Tell this grid's numbers from those of another grid: part of the ids of ticks."""

    def newest(self, now_us: int) -> int:
        """Return when the newest tick was due that is due at or before this moment."""

    def following(self, due_us: int) -> int:
        """Return when the first tick strictly after this moment is due."""

    def preceding(self, due_us: int) -> int:
        """Return when the last tick strictly before this moment was due."""

    def number(self, due_us: int) -> int:
        """Return the number of the tick that is due at this moment; later ones have greater."""

    def count(self, after_us: int, until_us: int) -> int:
        """Count the ticks after the one moment and not after the other.

        A grid on which that cannot be calculated may stop at `COUNTED`.
        """


COUNTED = 10_000
"""Where counting by going from tick to tick ends: a year's ticks would hold up the loop."""


@dataclass(frozen=True, slots=True)
class Every:
    """Tick N is due N times `every_us` after the epoch, and `offset_us` later."""

    every_us: int
    offset_us: int = 0

    def __post_init__(self) -> None:
        """Refuse intervals that cannot be kept."""
        if self.every_us < SHORTEST_US:
            message = (
                f"an interval of {self.every_us / 1000:g}ms is too short; "
                f"the shortest is {SHORTEST_US // 1000}ms, make several events per tick instead"
            )
            raise ValueError(message)
        if self.every_us > LONGEST_US:
            raise ValueError("an interval of more than a year is too long; write 5s, 10m or 24h")
        if not 0 <= self.offset_us < self.every_us:
            message = (
                f"an offset of {_readable(self.offset_us)} shifts the ticks by an interval or "
                f"more; write one that is shorter than {_readable(self.every_us)}"
            )
            raise ValueError(message)

    @classmethod
    def read(cls, interval: str | float, offset: str | float = 0) -> "Every":
        """Read durations: `5s`, `250ms`, or seconds. Raises ValueError with what is right."""
        return cls(microseconds(interval), microseconds(offset))

    @property
    def identity(self) -> str:
        """The interval, as tick 7 of `5s` and tick 7 of `10s` are not one tick; and the shift."""
        return f"{self.every_us}+{self.offset_us}" if self.offset_us else str(self.every_us)

    def newest(self, now_us: int) -> int:
        """Return when the newest tick was due that is due at or before this moment."""
        return now_us - (now_us - self.offset_us) % self.every_us

    def following(self, due_us: int) -> int:
        """Return when the first tick strictly after this moment is due."""
        return self.newest(due_us) + self.every_us

    def preceding(self, due_us: int) -> int:
        """Return when the last tick strictly before this moment was due."""
        return self.newest(due_us - 1)

    def number(self, due_us: int) -> int:
        """Return how many intervals after the epoch this tick is due."""
        return (due_us - self.offset_us) // self.every_us

    def count(self, after_us: int, until_us: int) -> int:
        """Count the ticks after the one moment and not after the other, exactly."""
        return max(0, self.number(until_us) - self.number(after_us))

    def __str__(self) -> str:
        shift = f" at {_readable(self.offset_us)}" if self.offset_us else ""
        return f"every {_readable(self.every_us)}{shift}"


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that is due. `missed`: the ticks before it that nobody makes any more."""

    number: int
    due_us: int
    missed: int = 0

    @property
    def time(self) -> datetime:
        """When it was due, on the grid; not when it was noticed."""
        return moment(self.due_us)

    @property
    def sequence(self) -> str:
        """Its number as text that sorts as the number does."""
        return f"{self.number:020d}"


def tick_id(source: str, name: str, schedule: Schedule, number: int, index: int) -> str:
    """Return the id of the `index`-th event of a tick; the same wherever and whenever it is made.

    `source` is the service, `name` the source function.
    """
    # None of the parts holds a line break: `source` and `name` may not hold control characters.
    place = f"{source}\n{name}\n{schedule.identity}\n{number}\n{index}"
    return str(uuid5(_TICKS, place))


def moment(microseconds: int) -> datetime:
    """Return the time that lies this long after the epoch, exactly."""
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds(duration: str | float) -> int:
    """Read a duration (`5s`, or seconds) as microseconds, of which more than a year is cut off."""
    return round(min(seconds(duration) * SECOND_US, LONGEST_US + 1))  # infinity has no integer


def _readable(duration_us: int) -> str:
    return readable(duration_us / SECOND_US)
