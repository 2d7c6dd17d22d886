"""Ticks at the times of a cron expression, in a time zone. PURE: the time is an argument.

What an expression means is what Debian's cron makes of it (the library is cronsim), also where
clocks are changed: a job at fixed times runs once on each day, at the first moment after a gap
when its own time does not exist, and at the first of two when it comes twice. A job with `*` for
the minute or the hour follows the clock: hourly is each hour that passes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from producer.schedule import COUNTED, EPOCH, SECOND_US, moment

_FIELDS = {
    "minute": "must be 0-59",
    "hour": "must be 0-23",
    "day": "must be 1-31, or L for the last of the month",
    "month": "must be 1-12 or JAN-DEC",
    "weekday": "must be 0-7 or SUN-SAT, 0 and 7 are Sunday",
}
_FORM = f"five fields: {' '.join(_FIELDS)}, as in '*/5 * * * *'"
_DAY_US = 86_400 * SECOND_US
_PROBE = datetime(2000, 1, 1, tzinfo=UTC)
"""Days of the month and of the week repeat: what does not occur in the 50 years after, never does.
The longest pause is that of a 29 February on one day of the week, 40 years."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The ticks of an expression of five fields, in a zone as `Europe/Berlin`.

    A tick's number is when it is due, in whole seconds since the epoch.
    """

    expression: str
    zone: str = "UTC"
    _tzinfo: tzinfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is no expression or zone, and expressions that never occur."""
        _check(self.expression)
        object.__setattr__(self, "_tzinfo", _zone(self.zone))

    @property
    def identity(self) -> str:
        """The same for all: the number is a moment, and a tick of this moment stays that tick.

        So a change of the expression or the zone does not rename the ticks that both have.
        """
        return "cron"

    def newest(self, now_us: int) -> int:
        """Return when the newest tick was due that is due at or before this moment."""
        return self.preceding(now_us + 1)

    def following(self, due_us: int) -> int:
        """Return when the first tick strictly after this moment is due."""
        return next(self._after(due_us))

    def preceding(self, due_us: int) -> int:
        """Return when the last tick strictly before this moment was due.

        Backwards only finds where to begin, as if clocks were never changed; ticks are those that
        are found forwards, so that there is one grid from wherever it is looked at.
        """
        local = self._local(due_us).replace(tzinfo=None)
        for begin in CronSim(self.expression, local, reverse=True):
            begin_us = _us(begin.replace(tzinfo=self._tzinfo))
            found = list(takewhile(lambda due: due < due_us, self._after(begin_us - 1)))
            if found:
                return found[-1]
        raise AssertionError(self)  # `_check` has found one in each 50 years

    def number(self, due_us: int) -> int:
        """Return the seconds since the epoch."""
        return due_us // SECOND_US

    def count(self, after_us: int, until_us: int) -> int:
        """Count the ticks after the one moment and not after the other, up to `COUNTED`."""
        ticks = takewhile(lambda due: due <= until_us, self._after(after_us))
        return sum(1 for _ in islice(ticks, COUNTED))

    def _after(self, due_us: int) -> Iterator[int]:
        """Yield the ticks strictly after this moment, without end."""
        minute, hour = self.expression.split()[:2]
        follows_clock = minute.startswith("*") or hour.startswith("*")
        return self._by_clock(due_us) if follows_clock else self._by_day(due_us)

    def _by_day(self, due_us: int) -> Iterator[int]:
        for at in CronSim(self.expression, self._local(due_us)):
            # In the hour that comes twice the library starts with what was due in the first.
            if (found := _us(at)) > due_us:
                due_us = found
                yield found

    def _by_clock(self, due_us: int) -> Iterator[int]:
        """Yield each moment at which a clock in the zone shows a time of the expression.

        The library counts in local time between two changes of the clock. Its own way through
        them has no end where they are not by whole hours (Pacific/Chatham, in 2.8).
        """
        while True:
            shift_us = self._shift_us(due_us + 1)
            for at in CronSim(self.expression, moment(due_us + shift_us)):
                found = _us(at) - shift_us
                if change := self._change_of_clock(due_us, found, shift_us):
                    due_us = change - 1
                    break
                due_us = found
                yield found

    def _change_of_clock(self, low_us: int, until_us: int, shift_us: int) -> int | None:
        """Return the first moment, after the one and not after the other, of another shift."""
        while low_us < until_us:
            high_us = min(low_us + _DAY_US, until_us)
            if self._shift_us(high_us) != shift_us:
                while high_us - low_us > 1:
                    middle_us = (low_us + high_us) // 2
                    if self._shift_us(middle_us) == shift_us:
                        low_us = middle_us
                    else:
                        high_us = middle_us
                return high_us
            low_us = high_us
        return None

    def _shift_us(self, at_us: int) -> int:
        """Return how far local time is ahead of UTC at this moment."""
        return (self._local(at_us).utcoffset() or timedelta()) // timedelta(microseconds=1)

    def _local(self, due_us: int) -> datetime:
        return moment(due_us).astimezone(self._tzinfo)

    def __str__(self) -> str:
        return f"cron {self.expression} {self.zone}"


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(seconds=1) * SECOND_US


def _check(expression: str) -> None:
    """Raise ValueError with what is right."""
    fields = str(expression).split()
    if len(fields) != len(_FIELDS):
        message = f"cron={expression!r}: {len(fields)} fields; write {_FORM}"
        if len(fields) == len(_FIELDS) + 1:
            message += '; for seconds write every="10s" instead'
        raise ValueError(message)
    for index, (name, limits) in enumerate(_FIELDS.items()):
        alone = ["*"] * len(_FIELDS)
        alone[index] = fields[index]
        if not _is_read(" ".join(alone)):
            raise ValueError(f"cron={expression!r}: {name} {limits}; {_FORM}")
    if not _is_read(expression) or next(CronSim(expression, _PROBE), None) is None:
        raise ValueError(
            f"cron={expression!r}: no such day ever comes; for the last of a month write L, "
            "as in '0 0 L * *'"
        )


def _is_read(expression: str) -> bool:
    try:
        CronSim(expression, _PROBE)
    except CronSimError:
        return False
    return True


def _zone(name: str) -> tzinfo:
    """Return the zone; UTC needs no data. Raises ValueError with what is right."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        message = (
            f"timezone={name!r} is not known here; write a name as 'Europe/Berlin'; "
            "if it is right, zone data is missing: install the package tzdata"
        )
        raise ValueError(message) from None
