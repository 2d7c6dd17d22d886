"""Read what `@source` was told about time: which arguments go together, and their limits."""

from dataclasses import dataclass

from common.duration import readable
from producer.cron import Cron
from producer.schedule import SECOND_US, Every, microseconds
from producer.ticks import Missed, Timing

LONGEST_CRON_JITTER_US = 3600 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingArguments:
    """The arguments of `@source` as they were written; None: not given."""

    every: str | float | None = None
    cron: str | None = None
    timezone: str | None = None
    offset: str | float | None = None
    jitter: str | float | None = None
    missed: str = "skip"

    @property
    def timed(self) -> bool:
        """Whether there is a schedule; without one it is a stream."""
        return self.every is not None or self.cron is not None

    def read(self, name: str) -> Timing | None:
        """Return the timing of the source of this name, None for a stream.

        Raises ValueError, with the argument and what is right.
        """
        self._refuse_what_does_not_go_together()
        if not self.timed:
            return None
        schedule = self._schedule()
        try:
            missed = Missed.read(self.missed)
        except ValueError as error:
            raise ValueError(f"missed={self.missed!r}: {error}") from None
        return Timing(schedule, missed, self._jitter_us(schedule), name)

    def _refuse_what_does_not_go_together(self) -> None:
        if self.every is not None and self.cron is not None:
            raise ValueError("every= and cron= are two schedules; write one of them")
        if not self.timed:
            given = {"timezone": self.timezone, "offset": self.offset, "jitter": self.jitter}
            if self.missed != "skip":
                given["missed"] = self.missed
            for argument, value in given.items():
                if value is not None:
                    raise ValueError(
                        f"{argument}={value!r}: a stream has no ticks; "
                        f'add every="5s" or cron="*/5 * * * *", or leave {argument} out'
                    )
        if self.cron is None and self.timezone is not None:
            raise ValueError(
                f"timezone={self.timezone!r} goes with cron=; ticks of every= lie on a grid in "
                "UTC: leave it out, and shift them with offset="
            )
        if self.cron is not None and self.offset is not None:
            raise ValueError(
                f"offset={self.offset!r} goes with every=; leave it out, and write the minute in "
                "cron=, as in '2 * * * *'"
            )

    def _schedule(self) -> Every | Cron:
        if self.cron is not None:
            return Cron(self.cron, "UTC" if self.timezone is None else self.timezone)
        assert self.every is not None  # noqa: S101 - for the type checker: one of the two is given
        written = f"every={self.every!r}"
        if self.offset is not None:
            written += f", offset={self.offset!r}"
        try:
            return Every.read(self.every, 0 if self.offset is None else self.offset)
        except ValueError as error:
            raise ValueError(f"{written}: {error}") from None

    def _jitter_us(self, schedule: Every | Cron) -> int:
        if self.jitter is None:
            return 0
        try:
            jitter_us = microseconds(self.jitter)
        except ValueError as error:
            raise ValueError(f"jitter={self.jitter!r}: {error}") from None
        if isinstance(schedule, Every):
            longest_us, of = schedule.every_us // 2, "half of the interval"
        else:
            longest_us, of = LONGEST_CRON_JITTER_US, "an hour"
        if jitter_us > longest_us:
            raise ValueError(
                f"jitter={self.jitter!r} is more than {of}; "
                f"write {readable(longest_us / SECOND_US)} or less"
            )
        return jitter_us
