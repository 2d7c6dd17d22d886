"""An `OrderedIntake` on connections that do what a test says, with a handling that waits for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from common.broker import Connection
from common.errors import BrokerUnavailable
from common.homes import Home, home_of
from common.message import Delivery, Message
from common.metrics import Metrics
from common.probes import Health
from consumer.ordered_intake import InHand, OrderedIntake
from support.waiting import until

FIFO, KEYED = home_of("g", "fifo", 0), home_of("g", "key", 2)


class Channel:
    """A subscription; its line notes what is done to it. It can never be cancelled or closed."""

    def __init__(self, line: "Line", offer: Callable[[Delivery], None]) -> None:
        self.line, self.offer = line, offer
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def alive(self) -> bool:
        return not self.ended.done()

    def ack(self, tag: int) -> bool:
        return self._note(f"ack {tag}")

    def nack(self, tag: int) -> bool:
        return self._note(f"nack {tag}")

    reject = nack

    async def flush(self) -> None:
        self._note("flush")
        await asyncio.sleep(0)

    def _note(self, what: str) -> bool:
        if self.alive():
            self.line.did.append(what)
        return self.alive()


class Line:
    """Stands for a connection; `counts` are the consumers that the broker sees."""

    def __init__(self) -> None:
        self.silent = False
        self.closed = asyncio.Event()
        self.channels: dict[str, Channel] = {}
        self.counts: Counter[str] = Counter()
        self.did: list[str] = []

    async def subscribe(
        self, queue: str, *, prefetch: int, on_delivery: Callable[[Delivery], None]
    ) -> Channel:
        assert prefetch == 100
        self.channels[queue] = Channel(self, on_delivery)
        self.counts[queue] += 1
        return self.channels[queue]

    async def consumers(self, queue: str) -> int:
        return self.counts[queue]

    async def hold(self, name: str) -> bool:
        assert name
        return True

    async def release(self, name: str) -> None:
        assert name

    async def drop(self, reason: str) -> None:
        self.did.append(f"drop: {reason}")
        self.lose()

    def lose(self) -> None:
        for channel in self.channels.values():
            if channel.alive():
                channel.ended.set_result("lost")
        self.closed.set()

    def give(self, *names: str, queue: str = FIFO.entrance) -> None:
        """Deliver; the tag is the number in the name."""
        channel = self.channels[queue]
        for name in names:
            message = Message(name.encode())
            channel.offer(
                Delivery(message, "e", "k", redelivered=False, tag=int(name[1:]), channel=channel)
            )


class Bench:
    """An intake and its handling: runs wait for the gate of their name, if there is one."""

    def __init__(self, tasks: asyncio.TaskGroup, home: Home, **given: Any) -> None:
        self.begun: list[str] = []
        self.running: set[str] = set()
        self.most = 0
        self.gates: dict[str, asyncio.Event] = {}
        self.again: dict[str, float] = {}
        """Seconds that the first run of an event asks for."""
        self.broken, self.alone, self.slow_to_end = set[str](), set[str](), set[str]()
        wanted = {"concurrency": 8, "prefetch": 100, "renew_after": 900.0, **given}
        self.intake = OrderedIntake(home, self, tasks, Health(), Metrics(), **wanted)

    def arrived(self, delivery: Delivery, at: float) -> InHand:
        """Its key is the letter."""
        name = delivery.message.body.decode()
        return InHand(delivery, name[0], name in self.alone, at)

    async def __call__(self, one: InHand) -> float | None:
        name = one.delivery.message.body.decode()
        self.begun.append(name)
        assert not {other for other in self.running if other[0] == name[0]}, "two of a key"
        self.running.add(name)
        self.most = max(self.most, len(self.running))
        try:
            await asyncio.sleep(0)
            if name in self.gates:
                await self.gates[name].wait()
        finally:
            if name in self.slow_to_end:
                await asyncio.sleep(0.05)
            self.running.remove(name)
        if name in self.broken:
            raise LookupError(name)
        if name in self.again:
            return self.again.pop(name)
        one.delivery.ack()
        return None

    def gate(self, *names: str) -> asyncio.Event:
        """Let these wait for it."""
        gate = asyncio.Event()
        self.gates |= dict.fromkeys(names, gate)
        return gate

    @property
    def kept(self) -> int:
        """How much it still knows of."""
        intake, lanes = self.intake, self.intake._lanes
        own = len(intake._in_hand) + len(intake._running)
        return own + len(lanes._lanes) + len(lanes._ready) + len(lanes._held) + lanes.running


@asynccontextmanager
async def taking(home: Home = FIFO, **given: Any) -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as tasks:
        bench = Bench(tasks, home, **given)
        try:
            yield bench
        finally:
            await bench.intake.drain(within=5)
            assert not bench.kept


@asynccontextmanager
async def session(bench: Bench) -> AsyncIterator[Line]:
    """Consume on a connection, which is lost at the end."""
    line = Line()
    running = asyncio.create_task(bench.intake.session(cast("Connection", line)))
    await until(lambda: line.channels)
    try:
        yield line
    finally:
        line.lose()
        with suppress(BrokerUnavailable):
            await running
