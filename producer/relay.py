"""The relay: a connection that is kept up, and the publisher that empties the outbox through it."""

import asyncio
from contextlib import suppress

from common.broker import Connection, Supervisor
from common.errors import BrokerUnavailable, ConfirmUnknown, TidingsError, first_of
from common.metrics import Metrics
from common.probes import Health
from common.stopping import asked_to_stop
from common.topology import events_topology
from producer.outbox import MemoryOutbox, Outbox
from producer.publisher import Publisher
from producer.settings import ProducerSettings
from producer.writer import EventWriter

ROLE = "publish"


class Relay:
    """What the producer service and the `Producer` of users' programs have in common."""

    def __init__(self, settings: ProducerSettings, *, health: Health, metrics: Metrics) -> None:
        self._mode = settings.topology
        self.outbox: Outbox = MemoryOutbox(settings.outbox_size)
        self.unsent = 0
        """What was accepted and not confirmed when `run` ended."""
        self.writer = EventWriter(settings.source, settings.max_event_bytes)
        self._supervisor = Supervisor(
            settings.uri,
            name=settings.source,
            role=ROLE,
            health=health,
            metrics=metrics,
            prepare=self._ensure,
        )
        self._publisher = Publisher(
            self.outbox,
            self._supervisor,
            metrics,
            repair=self._ensure if self._mode == "declare" else None,
        )
        metrics.outbox_depth.set_function(lambda: self.outbox.depth)

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
                group.create_task(self._supervisor.run(), name="broker connection")
                group.create_task(self._publisher.run(), name="publisher")
        except BaseExceptionGroup as errors:
            expected, bugs = errors.split(TidingsError)
            if expected is None or bugs is not None:
                raise
            end = first_of(expected)
            raise end from None
        finally:
            self.unsent = self.outbox.depth
            self.outbox.close(end)

    async def flush(self, seconds: float) -> None:
        """Wait until everything accepted is confirmed, `seconds` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.outbox.drained()

    async def _ensure(self, connection: Connection) -> None:
        try:
            await connection.ensure(events_topology(), self._mode)
        except asyncio.CancelledError:
            if asked_to_stop():
                raise
            raise BrokerUnavailable("connection lost while the topology was declared") from None
