"""Drive the sources: call them when they are due, and bring what they make to the outbox.

Each source is driven by a task of its own, so that one that fails, blocks or is slow never stops
another.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import orjson

from common.event import Event
from common.logs import get_logger
from common.metrics import Metrics
from common.seldom import Seldom
from common.stopping import asked_to_stop
from producer.calling import events_of, stream_of
from producer.outbox.entry import Outbox
from producer.outbox.marks import Mark
from producer.schedule import Tick
from producer.source import Source
from producer.source_context import SourceContext
from producer.ticks import Timing, Wait, due_ticks, first_last
from producer.writer import EventWriter

LONGEST_NAP = 1.0
"""Seconds between two looks at the clock: sleeping counts monotonic time, and does not notice that
the clock was set or the host was suspended."""
OTHERS_NAP = 0.2
"""Seconds between two looks at whether another replica still makes the ticks."""
TAKEOVER_US = 60_000_000
"""Microseconds before the takeover from another replica whose ticks are made again with `catch_up`:
as long as the broker may take to notice that a host is gone, and more. Their ids are the same."""
FIRST_RESTART = 1.0
LONGEST_RESTART = 30.0
"""Seconds between a stream's failure and its next start."""
MISSED_NOTICE_SECONDS = 10.0
FAILURE_NOTICE_SECONDS = 1.0
"""Seconds between two log lines about one source; the metrics count each time."""


class Driver:
    """Drives sources into one outbox."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        writer: EventWriter,
        metrics: Metrics,
        mine: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._outbox = outbox
        self._writer = writer
        self._metrics = metrics
        self._mine = mine
        """Whether this replica is to make the ticks of the source of this name."""
        self._cursors: dict[str, Any] = {}
        """What was handed over with a cursor in this process, be it written yet or not."""
        self._log = get_logger()
        self._said_full = False
        self._stopped = False
        self._misses = Seldom(MISSED_NOTICE_SECONDS)
        self._failures = Seldom(FAILURE_NOTICE_SECONDS)

    def stop(self) -> None:
        """Make no further tick: also where a source swallows the cancellation of its task."""
        self._stopped = True

    def _over(self) -> bool:
        return self._stopped

    async def run(self, source: Source) -> None:
        """Drive a source until cancelled; a stream that ends by itself is over."""
        self._metrics.source_errors.labels(source.name)  # shown as 0 from the start
        if source.timing is None:
            await self._run_stream(source)
        else:
            self._metrics.ticks_missed.labels(source.name)
            await self._run_ticks(source, source.timing)

    async def _run_ticks(self, source: Source, timing: Timing) -> None:
        noted = self._outbox.noted(tick_mark(source))
        last = first_last(timing, None if noted is None else int(noted), self._writer.clock())
        while not self._over():
            now = self._writer.clock()
            if not self._mine(source.name):
                doubtful = TAKEOVER_US if timing.missed.kind == "catch_up" else 0
                last = max(last, timing.schedule.newest(now - doubtful))
                await asyncio.sleep(OTHERS_NAP)
                continue
            due = due_ticks(timing, last, now)
            if isinstance(due, Wait):
                await asyncio.sleep(min(due.seconds, LONGEST_NAP))
                continue
            for tick in due:
                if self._over():
                    return
                last = tick.due_us
                self._note_missed(source, tick)
                await self._make(source, tick)
                self._outbox.note(Mark(tick_mark(source), str(last)))
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
        noted = self._outbox.noted(cursor_mark(source))
        context = SourceContext(source.name, None if noted is None else orjson.loads(noted))
        while not self._stopped:
            try:
                async with aclosing(stream_of(source, context)) as made:
                    async for events in made:
                        await self._bring_all(source, events, context)
                        failures = 0
            except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
                delay = restart_delay(failures)
                failures += 1
                self._note_failure(source, error, retry_in=delay)
                context = SourceContext(source.name, self._cursors.get(source.name, context.cursor))
                await asyncio.sleep(delay)
            else:
                self._log.warning("source_ended", source=source.name, where=source.where)
                return

    async def _bring_all(self, source: Source, events: list[Event], context: SourceContext) -> None:
        """Bring what a stream has yielded: with a cursor all of it and the cursor, or nothing."""
        fresh = [self._writer.fresh(event) for event in events]
        if not source.takes_context:
            for event in fresh:
                await self._bring(event, source)
            return
        cursor = orjson.dumps(context.cursor)  # raises TypeError for what no file can keep
        publishings = [self._writer.publishing(one, priority=source.priority) for one in fresh]
        await self._outbox.append_with(publishings, Mark(cursor_mark(source), cursor.decode()))
        self._cursors[source.name] = orjson.loads(cursor)

    async def _bring(self, event: Event, source: Source) -> None:
        publishing = self._writer.publishing(event, priority=source.priority)
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


def tick_mark(source: Source) -> str:
    """Name the mark of a source's last tick: its due time, in microseconds since the epoch."""
    return f"tick {source.name}"


def cursor_mark(source: Source) -> str:
    """Name the mark of a stream's cursor, as JSON."""
    return f"cursor {source.name}"


def restart_delay(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row before."""
    return min(LONGEST_RESTART, FIRST_RESTART * 2.0 ** min(failures, 16))
