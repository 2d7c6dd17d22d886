"""The relay: a connection that is kept up, and the publisher that empties the outbox through it."""

import asyncio
import time
from contextlib import suppress

from common.broker import Connection, Supervisor
from common.errors import BrokerUnavailable, ConfirmUnknown, TidingsError, first_of
from common.logs import get_logger
from common.metrics import Metrics
from common.probes import Health
from common.seldom import Seldom
from common.stopping import asked_to_stop
from common.topology import Topology, events_topology
from producer.outbox.entry import Outbox
from producer.outbox.home import open_outbox
from producer.publisher import Publisher
from producer.settings import ProducerSettings
from producer.tiers import DelayTiers
from producer.writer import EventWriter

ROLE = "publish"
DURABLE_FLUSH_SECONDS = 3.0
WATCH_SECONDS = 1.0
FILLS_SECONDS = 2.0
"""Age of the oldest event in the outbox from which it is said to fill."""
FILLS_NOTICE_SECONDS = 10.0


class Relay:
    """What the producer service and the `Producer` of users' programs have in common."""

    def __init__(self, settings: ProducerSettings, *, health: Health, metrics: Metrics) -> None:
        self._mode = settings.topology
        self.outbox: Outbox = open_outbox(
            settings.outbox_home, size=settings.outbox_size, quota=settings.outbox_bytes
        )
        self.unsent = 0
        """What was accepted and not confirmed when `run` ended."""
        self.writer = EventWriter(settings.source, settings.max_event_bytes)
        self.supervisor = Supervisor(
            settings.uri,
            name=settings.source,
            role=ROLE,
            health=health,
            metrics=metrics,
            prepare=self._ensure,
        )
        self._publisher = Publisher(
            self.outbox,
            self.supervisor,
            metrics,
            DelayTiers(self._ensure_topology),
            repair=self._ensure if self._mode == "declare" else None,
        )
        self._health = health
        self._log = get_logger(role=ROLE)
        metrics.outbox_depth.set_function(lambda: self.outbox.depth)
        metrics.outbox_bytes.set_function(lambda: self.outbox.size_bytes)
        metrics.outbox_oldest_seconds.set_function(self._oldest_seconds)
        metrics.outbox_refused.set_function(lambda: self.outbox.refused)

    async def run(self) -> None:
        """Keep connected and publish until cancelled.

        Raises what makes going on senseless, AccessRefused or TopologyMismatch. Afterwards the
        outbox gives that error, or that there was an end, to all who wait.
        """
        end: TidingsError = ConfirmUnknown(
            "the producer was closed before the broker had confirmed the event: it may or may not "
            "be stored; publish it again with the same id"
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.supervisor.run(), name="broker connection")
                group.create_task(self._publisher.run(), name="publisher")
                group.create_task(self.outbox.run(), name="outbox")
                group.create_task(self._watch_outbox(), name="outbox watch")
        except BaseExceptionGroup as errors:
            expected, bugs = errors.split(TidingsError)
            if expected is None or bugs is not None:
                raise
            end = first_of(expected)
            raise end from None
        finally:
            self.unsent = self.outbox.depth
            await self.outbox.close(end)

    async def flush(self, seconds: float) -> None:
        """Wait until everything accepted is confirmed, `seconds` at most.

        What is on disk is sent by the next process if not by this one: no long wait for it.
        """
        if self.outbox.durable:
            seconds = min(seconds, DURABLE_FLUSH_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.outbox.drained()

    async def _watch_outbox(self) -> None:
        """Tell of events that wait on disk, and of a disk that takes none."""
        outbox, notices = self.outbox, Seldom(FILLS_NOTICE_SECONDS)
        filling = False
        while True:
            trouble = outbox.trouble
            self._health.set("outbox", None if trouble is None else f"outbox: {trouble}")
            oldest = self._oldest_seconds()
            if outbox.durable and oldest > FILLS_SECONDS:
                filling = True
                if notices.due("fills"):
                    self._log.warning("outbox_fills", events=outbox.depth, oldest=round(oldest))
            elif filling and not outbox.depth:
                filling = False
                self._log.info("outbox_drained")
            await asyncio.sleep(WATCH_SECONDS)

    def _oldest_seconds(self) -> float:
        oldest = self.outbox.oldest
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)

    async def _ensure(self, connection: Connection) -> None:
        await self._ensure_topology(connection, events_topology())

    async def _ensure_topology(self, connection: Connection, topology: Topology) -> None:
        try:
            await connection.ensure(topology, self._mode)
        except asyncio.CancelledError:
            if asked_to_stop():
                raise
            raise BrokerUnavailable("connection lost while the topology was declared") from None
