"""The producer service: sources -> outbox -> publisher, with probes, metrics and a drain."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from common.address import masked
from common.errors import TidingsError
from common.logs import configure, get_logger
from common.metrics import Metrics
from common.probes import Health, Probes
from common.service import Stop, run_service, say_error
from common.settings import load, probes_port_is_chosen
from common.version import VERSION
from common.watchdog import Watchdog
from producer.driver import Driver
from producer.lease import Leases
from producer.relay import ROLE, Relay
from producer.settings import ProducerSettings
from producer.source import Source, Sources, load_sources
from producer.ticker import TICKER

DRAIN_SHARE = 0.5
"""Part of the drain deadline that sources have to end; the rest is for sending what they made."""


class Main:
    """One producer. The command runs one per process, the tests run the same one in theirs.

    Raises ConfigError, with file:line, for modules that cannot be loaded. Without modules the
    built-in ticker ticks.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        *,
        sources: Sources | None = None,
        port_is_fixed: bool = False,
    ) -> None:
        if sources is None:
            sources = load_sources(settings.modules) if settings.modules else (TICKER,)
        self._settings = settings
        self._sources = sources
        self.metrics = Metrics()
        self.health = Health(ROLE)
        self.probes = Probes(
            self.health, self.metrics, port=settings.probes_port, fixed=port_is_fixed
        )
        self._relay = Relay(settings, health=self.health, metrics=self.metrics)
        timed = [source.name for source in sources if source.timing is not None]
        self._leases = Leases(settings.source, timed, self._relay.supervisor, self.metrics)
        self._driver = Driver(
            outbox=self._relay.outbox,
            writer=self._relay.writer,
            metrics=self.metrics,
            mine=self._leases.mine,
        )
        self._log = get_logger()

    async def run(self, stop: Stop) -> None:
        """Produce until `stop` is set, then end within the drain deadline.

        Raises AccessRefused or TopologyMismatch, in an exception group, when the broker says No.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.probes)
            blocked_after = self._settings.loop_blocked
            stack.enter_context(Watchdog(self.metrics, blocked_after=blocked_after))
            self._say_hello()
            try:
                async with asyncio.TaskGroup() as group:
                    relay = group.create_task(self._run_relay(), name="relay")
                    leases = group.create_task(self._leases.run(), name="leases")
                    sources = [
                        group.create_task(self._driver.run(source), name=f"source {source.name}")
                        for source in self._sources
                    ]
                    await stop.wait()
                    await self._drain(sources)
                    relay.cancel()
                    leases.cancel()
            finally:
                self._say_goodbye()

    async def _run_relay(self) -> None:
        try:
            await self._relay.run()
        finally:
            self._driver.stop()  # nobody takes any more what the sources make

    async def _drain(self, sources: Sequence[asyncio.Task[None]]) -> None:
        """Stop the sources, then send what is in the outbox."""
        self.health.set("producer", "draining")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.drain_timeout
        self._driver.stop()
        for task in sources:
            task.cancel()
        if sources:
            share = self._settings.drain_timeout * DRAIN_SHARE
            _, stuck = await asyncio.wait(sources, timeout=share)
            for task in stuck:
                self._log.error("source_does_not_stop", task=task.get_name())
        await self._relay.flush(max(0.0, deadline - loop.time()))

    def _say_hello(self) -> None:
        self._log.info(
            "producer_started",
            version=VERSION,
            broker=masked(self._settings.uri),
            source=self._settings.source,
            sources=[_described(source) for source in self._sources],
            outbox=self._described_outbox(),
            topology=self._settings.topology,
            probes_port=self.probes.port,
        )

    def _described_outbox(self) -> str:
        home = self._settings.outbox_home
        if self._relay.outbox.durable:
            return f"{home} ({self._relay.outbox.depth} events wait)"
        return f"{home} ({self._settings.outbox_size} events)"

    def _say_goodbye(self) -> None:
        if unsent := self._relay.unsent:
            if self._relay.outbox.durable:
                self._log.info("unsent_events_kept", events=unsent)
            else:
                self._log.error("unsent_events_lost", events=unsent, remedy="set TIDINGS_DATA")
        self._log.info("producer_stopped", unsent=self._relay.unsent)


def _described(source: Source) -> str:
    return f"{source}, {source.where}"


def run(modules: Sequence[str] = (), **given: object) -> int:
    """Be the producer process: read the settings, run until a signal, return the exit code.

    `modules` and `given` (names of settings) win over the environment.
    """
    try:
        settings = load(ProducerSettings, modules=tuple(modules) or None, **given)
        configure(level=settings.log_level, format_=settings.log_format, service="producer")
        main = Main(settings, port_is_fixed=probes_port_is_chosen())
    except TidingsError as error:
        say_error(error)
        return error.exit_code
    return run_service(main.run, drain_timeout=settings.drain_timeout)
