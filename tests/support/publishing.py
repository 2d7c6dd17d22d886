"""A publisher on a connection that answers what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from common.broker import Connection, Supervisor
from common.errors import AccessRefused, ConfigError, InvalidEvent
from common.message import Answer, Message, Publishing, Unknown
from common.metrics import Metrics
from common.topology import Topology
from producer.outbox.entry import Entry
from producer.outbox.memory import MemoryOutbox
from producer.publisher import Publisher
from producer.tiers import DelayTiers
from support.waiting import until

Answered = Callable[[Answer | AccessRefused | InvalidEvent], None]


class Line:
    """Stands for a connection; what was sent and not answered is in `sent`, by event type."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.sent: dict[str, Answered] = {}
        self.order: list[str] = []
        self.takes = 1_000_000

    @property
    def sendable(self) -> bool:
        return self.open.is_set() and not self.closed.is_set() and len(self.order) < self.takes

    async def until_sendable(self) -> None:
        await until(lambda: self.sendable or self.closed.is_set())

    def send(self, publishing: Publishing, answered: Answered, *, timeout: float) -> None:
        assert self.sendable
        assert timeout > 0
        if publishing.routing_key == "unwritable":
            raise InvalidEvent("cannot be written")
        self.order.append(publishing.routing_key)
        self.sent[publishing.routing_key] = answered

    def answer(self, answer: Answer | AccessRefused | InvalidEvent, *types: str) -> None:
        for one in types or tuple(self.sent):
            self.sent.pop(one)(answer)

    def lose(self) -> None:
        self.closed.set()
        self.answer(Unknown("connection lost"))


class Links:
    """Stands for a supervisor."""

    def __init__(self) -> None:
        self.line = Line()
        self.repairs = 0
        self.made: list[str] = []
        self.no: ConfigError | None = None

    async def connection(self) -> Line:
        await until(lambda: not self.line.closed.is_set())
        return self.line

    async def repair(self, _: Connection) -> None:
        self.repairs += 1

    async def ensure(self, _: Connection, topology: Topology) -> None:
        self.made += [exchange.name for exchange in topology.exchanges]
        if self.no is not None:
            raise self.no


class Bench:
    """A publisher on an outbox of its own."""

    def __init__(self, window: int) -> None:
        self.outbox = MemoryOutbox(10_000)
        self.links = Links()
        self.metrics = Metrics()
        self.publisher = Publisher(
            self.outbox,
            cast("Supervisor", self.links),
            self.metrics,
            DelayTiers(self.links.ensure),
            repair=self.links.repair,
            window=window,
        )

    @property
    def line(self) -> Line:
        return self.links.line

    async def accept(self, *types: str, **given: Any) -> list[Entry]:
        return [
            await self.outbox.append(Publishing("events", one, Message(b"{}", type=one)), **given)
            for one in types
        ]

    async def sent(self, *types: str) -> None:
        await until(lambda: self.line.order == list(types), what=f"{types} were sent")

    def count(self, event_type: str, outcome: str) -> float:
        return self.metrics.published.labels(event_type, outcome).value


@asynccontextmanager
async def publishing(window: int = 256) -> AsyncIterator[Bench]:
    """Run a publisher; nothing of it may fail but what the test asks for."""
    bench = Bench(window)
    running = asyncio.create_task(bench.publisher.run())
    try:
        yield bench
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait((running,))
