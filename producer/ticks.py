"""Which ticks of a source are to be made now, and which were missed. PURE: the time is an argument.

Whoever drives a source remembers one number, when the tick made last was due, and asks again and
again what is due after it. So nothing that the clock does makes a tick twice: set back, there is
none until it has passed that moment again; set forward, or after a pause, some were missed.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from common.duration import readable
from producer.schedule import SECOND_US, Schedule, Tick

MOST_CAUGHT_UP = 10_000
"""Ticks that are made up at most: they are made at once, and each is an event or more."""
_CATCH_UP = re.compile(r"catch_up\(\s*(\d{1,9})\s*\)")


@dataclass(frozen=True, slots=True)
class Missed:
    """What becomes of ticks that nobody made when they were due. `most` is of `catch_up` alone.

    - `skip`: never made; after a start the first is the next on the grid.
    - `once`: however many they are, the newest of them is made, also after a start.
    - `catch_up`: the `most` newest of them are made, oldest first, also after a start.
    """

    kind: Literal["skip", "once", "catch_up"]
    most: int = 1

    @classmethod
    def read(cls, text: str) -> "Missed":
        """Read `skip`, `once` or `catch_up(100)`. Raises ValueError with what is right."""
        written = str(text).strip()
        if written == "skip":
            return cls("skip")
        if written == "once":
            return cls("once")
        if (found := _CATCH_UP.fullmatch(written)) and 1 <= int(found[1]) <= MOST_CAUGHT_UP:
            return cls("catch_up", int(found[1]))
        message = (
            f"{text!r} is not known; write skip, once, or catch_up(100): the most ticks that are "
            f"made up, 1 to {MOST_CAUGHT_UP}"
        )
        raise ValueError(message)

    @property
    def outlives_process(self) -> bool:
        """Whether a start asks for the last tick of the process before it."""
        return self.kind != "skip"

    def __str__(self) -> str:
        return f"catch_up({self.most})" if self.kind == "catch_up" else self.kind


SKIP = Missed("skip")


@dataclass(frozen=True, slots=True)
class Timing:
    """When a source is called. `name` is the source's: the dice of its jitter."""

    schedule: Schedule
    missed: Missed
    jitter_us: int
    name: str

    def delay_us(self, due_us: int) -> int:
        """Return how long after its due time a tick is made, at most `jitter_us`.

        The dice are a hash of the tick's identity: all replicas and each restart roll the same.
        A tick never comes later than halfway to the next one, so that none overtakes another.
        """
        if not self.jitter_us:
            return 0
        number = self.schedule.number(due_us)
        dice = sha256(f"{self.name}\n{self.schedule.identity}\n{number}".encode()).digest()
        room = min(self.jitter_us, (self.schedule.following(due_us) - due_us) // 2)
        return int.from_bytes(dice[:8]) * room >> 64

    def __str__(self) -> str:
        jitter = f", jitter {readable(self.jitter_us / SECOND_US)}" if self.jitter_us else ""
        missed = "" if self.missed == SKIP else f", missed {self.missed}"
        return f"{self.schedule}{jitter}{missed}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due for this many seconds, if the clock goes on as it does."""

    seconds: float


def first_last(timing: Timing, noted: int | None, now_us: int) -> int:
    """Return which moment to begin with as `last` in `due_ticks`.

    `noted` is when the tick was due that an earlier process made last, if that is known. A moment
    in the future is not believed: the clock was wrong, and the source would be silent till then.
    """
    if timing.missed.outlives_process and noted is not None and noted <= now_us:
        return noted
    return timing.schedule.newest(now_us)


def due_ticks(timing: Timing, last: int, now_us: int) -> list[Tick] | Wait:
    """Say what is due after the tick that was due at `last`: ticks, oldest first, or a wait.

    The first of the ticks carries in `missed` how many before it, but after `last`, are given up.
    """
    schedule = timing.schedule
    upcoming = schedule.following(last)
    ready_us = upcoming + timing.delay_us(upcoming)
    if ready_us > now_us:
        return Wait((ready_us - now_us) / SECOND_US)
    newest = schedule.newest(now_us)
    if newest + timing.delay_us(newest) > now_us:
        newest = schedule.preceding(newest)
    dues = [newest]
    while len(dues) < timing.missed.most and (due := schedule.preceding(dues[-1])) > last:
        dues.append(due)
    dues.reverse()
    given_up = schedule.count(last, dues[0]) - 1
    return [
        Tick(schedule.number(due), due, 0 if index else given_up) for index, due in enumerate(dues)
    ]
