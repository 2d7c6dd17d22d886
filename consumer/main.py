"""Wire the consumer: registry -> intake -> process -> settle. The tests start this same `Main`."""

import asyncio
import inspect
import os
import socket
import sys
from contextlib import AsyncExitStack
from typing import Any

from common.address import masked
from common.broker import Connection, Supervisor
from common.duration import readable
from common.errors import ConfigError, TidingsError, TopologyMismatch
from common.logs import configure, get_logger
from common.metrics import Metrics
from common.modules import location_of
from common.probes import Health, Probes
from common.service import Stop, run_service, say_error
from common.settings import load, probes_port_is_chosen
from common.topology import UNROUTED, Topology, dead_name
from common.version import VERSION
from common.watchdog import Watchdog
from consumer.calling import Caller
from consumer.inbox.fitness import refuse_unfit
from consumer.inbox.home import open_inbox
from consumer.intake import READY
from consumer.plan import home_for, registry_for, topology_for, without_leads
from consumer.registry import Registry
from consumer.residence import residence
from consumer.settings import ConsumerSettings
from consumer.timeouts import refuse_too_long
from consumer.wiring import Parts, intake_of

UNROUTED_LOOK_SECONDS = 15.0
INBOX_LOOK_SECONDS = 0.5
MOVES = "what is left here is handled; `tidings topology migrate` says when to stop"
DELETED = "it is made anew, what was in it is lost; find out who deletes queues"


class Main:
    """The consumer of one group; `run` returns when `stop` is set and everything is drained."""

    def __init__(self, settings: ConsumerSettings, registry: Registry | None = None) -> None:
        self.settings = settings
        self.registry = registry or registry_for(settings)
        refuse_too_long(self.registry.handlers, settings)
        refuse_unfit(self.registry, home=settings.inbox_home, keep=settings.inbox_keep)
        self.inbox = open_inbox(
            settings.inbox_home,
            group=settings.group,
            keep=settings.inbox_keep,
            quota=settings.inbox_bytes,
        )
        self.metrics = Metrics()
        self.health = Health("publish", "consume", READY)
        self.caller = Caller(settings.concurrency, health=self.health, metrics=self.metrics)
        self.probes = Probes(
            self.health, self.metrics, port=settings.probes_port, fixed=probes_port_is_chosen()
        )
        self._home = home_for(settings)
        self._topology = topology_for(settings, self.registry)
        self._parts = Parts(
            settings,
            self.registry,
            self._home,
            without_leads(self._topology, self._home),
            self.inbox,
            self.caller,
            self.health,
            self.metrics,
        )
        self._prepared = False

    async def run(self, stop: Stop) -> None:
        """Run until `stop` is set, then drain."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.probes)
            stack.enter_context(Watchdog(self.metrics, blocked_after=settings.loop_blocked))
            state = await self._state(stack)
            publishing = self._supervisor("publish")
            consuming = self._supervisor("consume", prepare=True)
            try:
                async with asyncio.TaskGroup() as tasks:
                    intake = intake_of(
                        self._parts, tasks, publishing=publishing, consuming=consuming, state=state
                    )
                    self._say_banner()
                    links = [
                        tasks.create_task(publishing.run(), name="publishing link"),
                        tasks.create_task(consuming.run(intake.session), name="consuming link"),
                        tasks.create_task(self._look_at_unrouted(consuming), name="unrouted depth"),
                        tasks.create_task(self._watch_inbox(), name="inbox watch"),
                        tasks.create_task(self.inbox.run(), name="inbox"),
                    ]
                    await stop.wait()
                    await intake.drain(settings.drain_timeout)
                    for link in links:
                        link.cancel()
            finally:
                await self.inbox.close()
                self.caller.close()
        get_logger().info("consumer_stopped", group=settings.group)

    def _supervisor(self, role: str, *, prepare: bool = False) -> Supervisor:
        return Supervisor(
            self.settings.uri,
            name=f"tidings consumer {self.settings.group} @ {socket.gethostname()}",
            role=role,
            health=self.health,
            metrics=self.metrics,
            prepare=self._prepare if prepare else None,
        )

    async def _state(self, stack: AsyncExitStack) -> Any:
        """Enter the user's `@lifespan`; what it cannot open is a line, not a traceback."""
        if self.registry.lifespan is None:
            return None
        try:
            return await stack.enter_async_context(self.registry.lifespan())
        except TidingsError:
            raise
        except Exception as error:
            where = location_of(inspect.unwrap(self.registry.lifespan))
            text = " ".join(str(error).split())[:300]
            raise TidingsError(
                f"{where}: @lifespan raised {type(error).__qualname__}: {text}; "
                "what it opens must be there before the consumer starts"
            ) from error

    async def _prepare(self, connection: Connection) -> None:
        moves_to = await residence(connection, self._home)
        if moves_to is not None:
            get_logger().warning("group_moves_away", to=moves_to.name, remedy=MOVES)
            await connection.ensure(self._topology, "check")
            return
        if self._prepared and self.settings.topology == "declare":
            await self._say_what_was_deleted(connection)
        await connection.ensure(self._topology, self.settings.topology)
        self._prepared = True

    async def _say_what_was_deleted(self, connection: Connection) -> None:
        """Say which queue is gone that was there before: what was in it is lost."""
        kept = (*self._home.queue_names, dead_name(self.settings.group))
        for queue in self._topology.queues:
            if queue.name in kept:
                try:
                    await connection.ensure(Topology(queues=(queue,)), "check")
                except TopologyMismatch:
                    get_logger().error("queue_was_deleted", queue=queue.name, remedy=DELETED)

    async def _watch_inbox(self) -> None:
        """Say in the readiness why consuming pauses, when it does."""
        while True:
            trouble = self.inbox.trouble
            self.health.set("inbox", None if trouble is None else f"inbox: {trouble}")
            await asyncio.sleep(INBOX_LOOK_SECONDS)

    async def _look_at_unrouted(self, consuming: Supervisor) -> None:
        """Keep the depth of `events.unrouted` in the metrics; say it once at the start."""
        said = False
        while True:
            connection = await consuming.connection()
            try:
                depth = await connection.depth(UNROUTED)
            except TidingsError as error:
                get_logger().debug("unrouted_depth_unknown", reason=str(error))
            else:
                self.metrics.unrouted.set(depth)
                if depth and not said:
                    get_logger().warning(
                        "unrouted_events_wait", count=depth, remedy="tidings unrouted list | replay"
                    )
                said = True
            await asyncio.sleep(UNROUTED_LOOK_SECONDS)

    def _say_banner(self) -> None:
        settings = self.settings
        get_logger().info(
            "consumer_started",
            version=VERSION,
            broker=masked(settings.uri),
            group=settings.group,
            handlers=[
                f"{one.pattern} -> {one.name} ({one.policy}, timeout {readable(one.timeout)})"
                for one in self.registry.handlers
            ],
            concurrency=settings.concurrency,
            order=settings.order,
            inbox=settings.inbox_home,
            probes=f"http://127.0.0.1:{self.probes.port}/readyz",
        )


def run(modules: tuple[str, ...] = ()) -> int:
    """Run the consumer of these modules until a signal; return the exit code."""
    try:
        settings = load(ConsumerSettings, modules=modules or None)
        configure(level=settings.log_level, format_=settings.log_format, service="consumer")
        main = Main(settings)
    except ConfigError as error:
        say_error(error)
        return error.exit_code
    code = run_service(main.run, drain_timeout=settings.drain_timeout)
    if main.caller.abandoned:
        # Python waits at exit for threads, and these hang; what they held has been handed back.
        get_logger().warning("threads_abandoned", count=main.caller.abandoned)
        sys.stdout.flush()
        os._exit(code)
    return code
