"""When a tick is due, and which identity its place in time gives it. PURE: the time is an argument.

Ticks lie on a grid that starts at the Unix epoch: tick N is due at N times the interval. A tick is
named by its place on the grid and not by a count since the start, so a restarted producer and a
second replica give the same tick the same number, time and id. Times are whole microseconds: a
float of seconds since the epoch is off by up to 0.1 µs, and adding up floats would drift.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from common.duration import readable, seconds

SHORTEST_US = 10_000
"""Shortest interval: below it the loop's own timing errors are of the size of the interval."""
LONGEST_US = 366 * 86_400 * 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000
_TICKS = UUID("5b0a4a0e-6f0c-5f0e-9d4c-5d1c1f1f9a53")
"""Namespace of tick ids: changing it would give every tick of the past a second identity."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Ticks at every multiple of `every_us` microseconds since the epoch."""

    every_us: int

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

    @classmethod
    def every(cls, interval: str | float) -> "Schedule":
        """Read an interval: `5s`, `250ms`, or seconds. Raises ValueError with what is right."""
        microseconds = seconds(interval) * _SECOND_US
        return cls(round(min(microseconds, LONGEST_US + 1)))  # infinity has no integer

    def number_at(self, now_us: int) -> int:
        """Return the number of the newest tick that is due at this moment."""
        return now_us // self.every_us

    def __str__(self) -> str:
        return f"every {readable(self.every_us / _SECOND_US)}"


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that is due. `missed`: the ticks since the last one that were skipped for it."""

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


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due for this many seconds, if the clock goes on as it does."""

    seconds: float


def next_tick(schedule: Schedule, last: int, now_us: int) -> Tick | Wait:
    """Say what is due after tick `last`.

    A fresh producer passes `schedule.number_at(now)` as `last`: the tick of this moment belongs to
    the run before it, so a restart waits for the next place on the grid and never repeats a tick.
    Of several that are due only the newest is made, the others are counted as missed. When the
    clock was set back there is no tick until it has passed `last` again: a number never repeats.
    """
    newest = schedule.number_at(now_us)
    if newest <= last:
        return Wait(((last + 1) * schedule.every_us - now_us) / _SECOND_US)
    return Tick(newest, newest * schedule.every_us, missed=newest - last - 1)


def tick_id(source: str, name: str, schedule: Schedule, number: int, index: int) -> str:
    """Return the id of the `index`-th event of a tick; the same wherever and whenever it is made.

    `source` is the service, `name` the source function. The interval is part of it, as tick 7 of
    `5s` and tick 7 of `10s` are not one tick.
    """
    # None of the parts holds a line break: `source` and `name` may not hold control characters.
    place = f"{source}\n{name}\n{schedule.every_us}\n{number}\n{index}"
    return str(uuid5(_TICKS, place))


def moment(microseconds: int) -> datetime:
    """Return the time that lies this long after the epoch, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)
