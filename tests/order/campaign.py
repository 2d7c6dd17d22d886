"""A campaign: a generator, one to three replicas, and faults by a seed. It leaves journals behind.

What is found in them is the business of `checker.py` alone.
"""

import asyncio
import json
import random
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from common.deadletter import DeadLetter
from common.errors import EXIT_OK
from common.homes import Order, home_of
from common.topology import dead_name
from order.counting import Ends
from support.broker import Broker, OwnBroker
from support.processes import Service, service
from support.services import drained
from support.waiting import until

HERE = Path(__file__).parent
GROUP = "numbers"
SECONDS_EACH = 0.005
MOST = 3
"""Replicas."""
STOP_SECONDS = 40.0
QUIET_SECONDS = 45.0
"""Without an end of an event for so long, nothing more will come: the checker says what is lost."""


@dataclass(frozen=True)
class Plan:
    """What is to happen. `rate`: events published in a second at most; `faults`: how many.

    More are published in a second than are handled: the hands are full when a fault comes.
    """

    order: Order
    on_retry: str = "stop"
    events: int = 600
    rate: float = 300.0
    batch: int = 20
    keys: int = 50
    priorities: int = 1
    seed: int = 1
    faults: int = 6
    kinds: tuple[str, ...] = ("scale", "stop", "kill", "cut")
    """They take turns; the first two are the first to happen."""
    restarts: int = 0
    """Of the faults, those that restart the broker."""
    concurrency: int = 8
    window: int = 50
    partitions: int = 4
    fail_every: int = 97
    reject_every: int = 1009
    pause: float | None = None
    pause_every: int = 1
    """Every so many events take `pause` seconds; by default about 5 ms a piece, all in all."""
    sabotage: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Return the consumers' settings."""
        return {
            "GROUP": GROUP,
            "ORDER": self.order,
            "ORDER_ON_RETRY": self.on_retry,
            "PARTITIONS": self.partitions,
            "WINDOW": self.window,
            "CONCURRENCY": self.concurrency,
        }


class Campaign:
    """The running processes of one campaign, and its journal of losses."""

    def __init__(self, broker: Broker, folder: Path, plan: Plan, lives: AsyncExitStack) -> None:
        self.ends = Ends(folder)
        self.plan = plan
        self._broker = broker
        self._folder = folder
        self._dice = random.Random(plan.seed)
        self._lives = lives
        self._running: list[Service] = []
        self._started = 0

    async def start(self) -> None:
        """Start one more replica; it subscribes in its own time."""
        self._started += 1
        name = f"consumer-{self._started}"
        one = await self._lives.enter_async_context(
            service(
                *("consumer", "handling"),
                folder=self._folder,
                name=name,
                AMQP_URI=self._broker.uri,
                **self.plan.settings,
            )
        )
        self._running.append(one)

    async def subscribed(self) -> None:
        """Wait until the newest replica has said that it consumes: then its queues are bound."""
        await self._running[-1].says('"subscribed"', within=30)

    async def stop_one(self) -> None:
        """Stop one in good order."""
        one = self._running.pop(self._dice.randrange(len(self._running)))
        await one.says('"consumer_started"', within=30)  # before, a signal ends it as any process
        one.signal(signal.SIGTERM)
        code = await one.exit_code(within=STOP_SECONDS)
        assert code == EXIT_OK, f"ended with {code}: {one.output[-2000:]}"

    async def stop_all(self) -> None:
        """Stop all in good order."""
        while self._running:
            await self.stop_one()

    async def harm(self, what: str) -> None:
        """Let one fault happen."""
        match what:
            case "scale":
                await self._scale_to(1 if len(self._running) == MOST else MOST)
            case "stop":
                count = len(self._running)
                await self.stop_one()
                await self._scale_to(count)
            case "kill":
                await self._kill()
            case "cut":
                async with self._lost("cut"):
                    await self._broker.close_all_connections()
            case "restart":
                assert isinstance(self._broker, OwnBroker)
                async with self._lost("restart"):
                    await (self._broker.kill if self._dice.random() < 0.5 else self._broker.stop)()
                    await self._broker.start()

    def faults(self) -> list[str]:
        """Return which faults happen, in their order: each kind about as often as the others."""
        kinds, others = self.plan.kinds, self.plan.faults - self.plan.restarts
        plain = [kinds[number % len(kinds)] for number in range(others)]
        mixed = plain[2:] + ["restart"] * self.plan.restarts
        self._dice.shuffle(mixed)
        return plain[:2] + mixed

    async def done_or_stuck(self, events: int) -> None:
        """Wait until so many events are out, or nothing more comes."""
        loop = asyncio.get_running_loop()
        last, since = -1, loop.time()

        def over() -> bool:
            nonlocal last, since
            if (now := self.ends.count()) != last:
                last, since = now, loop.time()
            return now >= events or loop.time() - since > QUIET_SECONDS

        await until(over, within=3600)

    async def done(self) -> None:
        """Wait until all are out and settled, and stop."""
        await self.done_or_stuck(self.plan.events)
        await until(self._is_empty, within=30, what="everything is settled")
        await self.stop_all()
        await self._take_dead_letters()

    async def _take_dead_letters(self) -> None:
        """Write them down."""
        queue = dead_name(GROUP)
        found = await drained(self._broker.uri, queue, await self._broker.messages(queue))
        letters = [DeadLetter.of(one) for one in found]
        lines = "".join(f"{one.id} {one.reason}\n" for one in letters)
        (self._folder / "dead.journal").write_text(lines, encoding="utf-8")

    async def _scale_to(self, count: int) -> None:
        while len(self._running) > count:
            await self.stop_one()
        while len(self._running) < count:
            await self.start()

    async def _kill(self) -> None:
        count = len(self._running)
        one = self._running.pop(self._dice.randrange(count))
        begin = time.monotonic_ns()
        one.kill()
        assert await one.exit_code() == -signal.SIGKILL, one.output[-2000:]
        self._write("kill", begin, str(one._process.pid))
        await self._scale_to(count)

    @asynccontextmanager
    async def _lost(self, kind: str) -> AsyncIterator[None]:
        begin = time.monotonic_ns()
        try:
            yield
        finally:
            self._write(kind, begin, "-")

    def _write(self, kind: str, begin: int, process: str) -> None:
        with (self._folder / "losses.journal").open("a", encoding="utf-8") as file:
            file.write(f"{kind} {begin} {time.monotonic_ns()} {process}\n")

    @property
    def _queues(self) -> tuple[str, ...]:
        return home_of(GROUP, self.plan.order, self.plan.partitions).queue_names

    async def _is_empty(self) -> bool:
        return not sum([await self._broker.messages(name) for name in self._queues])


async def run_with_faults(broker: Broker, folder: Path, plan: Plan) -> None:
    """Publish while replicas come and go and connections are lost; all is done at the end."""
    async with _campaign(broker, folder, plan) as campaign:
        await campaign.start()
        await campaign.subscribed()
        async with _generator(folder) as generator:
            faults = campaign.faults()
            for number, fault in enumerate(faults, 1):
                goal = plan.events * number // (len(faults) + 1)
                await campaign.done_or_stuck(goal)
                await campaign.harm(fault)
            assert await asyncio.wait_for(generator.wait(), 3600) == 0, _said(folder)
        await campaign.done()


async def run_backlog(broker: Broker, folder: Path, plan: Plan) -> None:
    """Publish all, then let one consumer handle it, undisturbed."""
    calm = replace(plan, concurrency=1, fail_every=0, reject_every=0)
    async with _campaign(broker, folder, calm) as campaign:
        await campaign.start()
        await campaign.subscribed()
        await campaign.stop_all()
        async with _generator(folder) as generator:
            assert await asyncio.wait_for(generator.wait(), 3600) == 0, _said(folder)
        await campaign.start()
        await campaign.done()


@asynccontextmanager
async def _campaign(broker: Broker, folder: Path, plan: Plan) -> AsyncIterator[Campaign]:
    for name in ("handling.py", "sabotage.py", "generator.py"):
        shutil.copy(HERE / name, folder)
    each = SECONDS_EACH if plan.order == "fifo" else SECONDS_EACH * plan.concurrency
    pause = each if plan.pause is None else plan.pause
    facts = asdict(plan) | {"uri": broker.uri, "pause": pause}
    (folder / "plan.json").write_text(json.dumps(facts), encoding="utf-8")
    async with AsyncExitStack() as lives:
        yield Campaign(broker, folder, plan, lives)


@asynccontextmanager
async def _generator(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "generator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "generator.py"), cwd=folder, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _said(folder: Path) -> str:
    return (folder / "generator.log").read_text(encoding="utf-8")[-2000:]
