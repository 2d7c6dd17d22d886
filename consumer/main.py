"""Wire the consumer: registry -> intake -> process -> settle. The tests start this same `Main`."""

import asyncio
import inspect
import os
import random
import socket
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from common.address import masked
from common.broker import Connection, Supervisor
from common.duration import readable
from common.errors import ConfigError, TidingsError
from common.logs import configure, get_logger
from common.metrics import Metrics
from common.modules import location_of
from common.probes import Health, Probes
from common.service import Stop, run_service, say_error
from common.settings import load, probes_port_is_chosen
from common.topology import UNROUTED
from common.version import VERSION
from consumer.attempt import Attempts
from consumer.calling import Caller
from consumer.inbox import MemoryInbox
from consumer.intake import READY, Intake
from consumer.plan import registry_for, topology_for
from consumer.process import Process
from consumer.registry import Registry
from consumer.settings import ConsumerSettings
from consumer.settle import Settle

UNROUTED_LOOK_SECONDS = 15.0


class Main:
    """The consumer of one group; `run` returns when `stop` is set and everything is drained."""

    def __init__(self, settings: ConsumerSettings, registry: Registry | None = None) -> None:
        self.settings = settings
        self.registry = registry or registry_for(settings)
        self.metrics = Metrics()
        self.health = Health("publish", "consume", READY)
        self.caller = Caller(settings.concurrency)
        self.probes = Probes(
            self.health, self.metrics, port=settings.probes_port, fixed=probes_port_is_chosen()
        )
        self._topology = topology_for(settings, self.registry)

    async def run(self, stop: Stop) -> None:
        """Run until `stop` is set, then drain."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.probes)
            state = await self._state(stack)
            publishing = self._supervisor("publish")
            consuming = self._supervisor("consume", prepare=True)
            try:
                async with asyncio.TaskGroup() as tasks:
                    intake = self._intake(tasks, publishing, state)
                    self._say_banner()
                    links = [
                        tasks.create_task(publishing.run(), name="publishing link"),
                        tasks.create_task(consuming.run(intake.session), name="consuming link"),
                        tasks.create_task(self._look_at_unrouted(consuming), name="unrouted depth"),
                    ]
                    await stop.wait()
                    await intake.drain(settings.drain_timeout)
                    for link in links:
                        link.cancel()
            finally:
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

    def _intake(self, tasks: asyncio.TaskGroup, publishing: Supervisor, state: Any) -> Intake:
        settings = self.settings
        inbox = MemoryInbox()
        settle = Settle(
            publishing,
            inbox,
            self.metrics,
            group=settings.group,
            host=socket.gethostname(),
            topology=self._topology,
            may_declare=settings.topology == "declare",
        )
        attempts = Attempts(
            registry=self.registry,
            group=settings.group,
            clock=lambda: time.time_ns() // 1_000_000,
            dice=random.random,
            policy=settings.policy,
            patience=settings.patience,
            max_bytes=settings.max_event_bytes,
            state=state,
        )
        return Intake(
            settings.group,
            Process(attempts, self.caller, inbox, settle, self.metrics),
            tasks,
            self.health,
            self.metrics,
            concurrency=settings.concurrency,
            prefetch=settings.prefetch,
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
        await connection.ensure(self._topology, self.settings.topology)

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
            order="any",
            inbox="memory",
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
