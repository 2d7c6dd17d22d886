"""Drive the sources: call them when they are due, and bring what they make to the outbox.

Each source is driven by a task of its own, so that one that fails, blocks or is slow never stops
another.
"""

import asyncio
from contextlib import aclosing

from common.event import Event
from common.logs import get_logger
from common.metrics import Metrics
from common.stopping import asked_to_stop
from producer.calling import events_of, stream_of
from producer.outbox import Outbox
from producer.schedule import Schedule, Tick, Wait, next_tick
from producer.seldom import Seldom
from producer.source import Source
from producer.writer import EventWriter

LONGEST_NAP = 1.0
"""Seconds between two looks at the clock: sleeping counts monotonic time, and does not notice that
the clock was set or the host was suspended."""
FIRST_RESTART = 1.0
LONGEST_RESTART = 30.0
"""Seconds between a stream's failure and its next start."""
MISSED_NOTICE_SECONDS = 10.0
FAILURE_NOTICE_SECONDS = 1.0
"""Seconds between two log lines about one source; the metrics count each time."""


class Driver:
    """Drives sources into one outbox."""

    def __init__(self, *, outbox: Outbox, writer: EventWriter, metrics: Metrics) -> None:
        self._outbox = outbox
        self._writer = writer
        self._metrics = metrics
        self._log = get_logger()
        self._said_full = False
        self._stopped = False
        self._misses = Seldom(MISSED_NOTICE_SECONDS)
        self._failures = Seldom(FAILURE_NOTICE_SECONDS)

    def stop(self) -> None:
        """Make no further tick: also where a source swallows the cancellation of its task."""
        self._stopped = True

    async def run(self, source: Source) -> None:
        """Drive a source until cancelled; a stream that ends by itself is over."""
        self._metrics.source_errors.labels(source.name)  # shown as 0 from the start
        if source.schedule is None:
            await self._run_stream(source)
        else:
            self._metrics.ticks_missed.labels(source.name)
            await self._run_ticks(source, source.schedule)

    async def _run_ticks(self, source: Source, schedule: Schedule) -> None:
        last = schedule.number_at(self._writer.clock())
        while not self._stopped:
            match next_tick(schedule, last, self._writer.clock()):
                case Wait(seconds):
                    await asyncio.sleep(min(seconds, LONGEST_NAP))
                case Tick() as tick:
                    last = tick.number
                    self._note_missed(source, tick)
                    await self._make(source, tick)
                    await asyncio.sleep(0)  # a source that is always late still lets others run

    async def _make(self, source: Source, tick: Tick) -> None:
        """Bring the events of one tick to the outbox.

        While the outbox is full this waits, and the ticks that become due meanwhile are missed:
        counted, with one line at the end of it. An event that was made is not given up.
        """
        try:
            async with aclosing(events_of(source, tick)) as events:
                index = 0
                async for event in events:
                    await self._bring(self._writer.of_tick(event, source, tick, index), source)
                    index += 1
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - the author's code
            self._note_failure(source, error)

    async def _run_stream(self, source: Source) -> None:
        failures = 0
        while not self._stopped:
            try:
                async with aclosing(stream_of(source)) as events:
                    async for event in events:
                        await self._bring(self._writer.fresh(event), source)
                        failures = 0
            except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
                delay = restart_delay(failures)
                failures += 1
                self._note_failure(source, error, retry_in=delay)
                await asyncio.sleep(delay)
            else:
                self._log.warning("source_ended", source=source.name, where=source.where)
                return

    async def _bring(self, event: Event, source: Source) -> None:
        publishing = self._writer.publishing(event)
        if self._outbox.full and not self._said_full:
            self._said_full = True
            self._log.warning("outbox_full", source=source.name, events=self._outbox.depth)
        await self._outbox.append(publishing)
        if self._said_full and not self._outbox.full:
            self._said_full = False
            self._log.info("outbox_has_room", events=self._outbox.depth)

    def _note_missed(self, source: Source, tick: Tick) -> None:
        if tick.missed:
            self._metrics.ticks_missed.labels(source.name).inc(tick.missed)
            if missed := self._misses.due(source.name, tick.missed):
                self._log.warning("ticks_missed", source=source.name, missed=missed)

    def _note_failure(self, source: Source, error: BaseException, **facts: object) -> None:
        """Count and log what a source raised; raise it on when it was we who asked it to stop."""
        if isinstance(error, asyncio.CancelledError) and (self._stopped or asked_to_stop()):
            raise error
        self._metrics.source_errors.labels(source.name).inc()
        if times := self._failures.due(source.name):
            facts |= {"source": source.name, "where": source.where, "times": times}
            self._log.error("source_failed", exc_info=error, **facts)


def restart_delay(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row before."""
    return min(LONGEST_RESTART, FIRST_RESTART * 2.0 ** min(failures, 16))
