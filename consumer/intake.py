"""From the subscription to the handlers: bounded concurrency, and the drain.

A lost connection ends no handler: what runs goes on, what merely waited comes back by itself.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from common.broker import Connection, Subscription
from common.errors import BrokerUnavailable, TopologyMismatch
from common.logs import get_logger
from common.message import Delivery
from common.metrics import Metrics
from common.probes import Health
from common.stopping import asked_to_stop
from consumer.calling import stop
from consumer.lanes import InArrival, Waiting
from consumer.windows import Version

READY = "subscription"
LOOK_SECONDS = 3.0
"""Between two looks at whether a suspect waits."""
ALONE_LOOK_SECONDS = 0.2
LONGEST_ALONE_SECONDS = 20.0
"""For so long suspects run one after the other, before the group's own queue has a turn again."""

begun: Callable[..., asyncio.Task[Any]] = asyncio.Task
"""Starts a delivery's task, on 3.12 and later at once, up to where it first waits: most handlers of
small events never do."""
if sys.version_info >= (3, 12):
    begun = partial(asyncio.Task, eager_start=True)


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue, and what is done with its deliveries, `concurrency` at a time."""

    queue: str
    process: Callable[[Delivery], Coroutine[Any, Any, object]]
    concurrency: int
    prefetch: Callable[[Version], int]
    """How many are in hand at most, on a broker of this version."""


class Intake:
    """Takes deliveries of the group's queue, and of its suspects when nothing else runs here."""

    def __init__(
        self,
        main: Lane,
        alone: Lane,
        tasks: asyncio.TaskGroup,
        health: Health,
        metrics: Metrics,
        waiting: Waiting[Delivery] | None = None,
    ) -> None:
        """`waiting` chooses among those in hand; without it the first that came is the next."""
        self._main = main
        self._alone = alone
        self._lane = main
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        """Ends with the drain, or with the error of a delivery's task."""
        self._health = health
        self._waiting = InArrival[Delivery]() if waiting is None else waiting
        self._running: set[asyncio.Task[object]] = set()
        self._subscription: Subscription | None = None
        self._draining = asyncio.Event()
        self._failed = False
        self._log = get_logger()
        self._metrics = metrics
        metrics.in_hand.set_function(lambda: len(self._waiting) + len(self._running))
        tasks.create_task(self._keep(), name=f"deliveries of {main.queue}")

    async def session(self, connection: Connection) -> None:
        """Consume on this connection until a subscription is over."""
        while not self._draining.is_set():
            if await self._suspects_wait(connection):
                await self._quiet()
                await self._consume(connection, self._alone, self._no_suspect_waits(connection))
            else:
                await self._consume(connection, self._main, self._suspect_waits(connection))
        if asked_to_stop():  # an RPC may have swallowed the cancellation
            raise asyncio.CancelledError
        await connection.closed.wait()  # the drain closes it; a new one is not wanted

    async def _consume(
        self, connection: Connection, lane: Lane, until: Coroutine[Any, Any, None]
    ) -> None:
        """Consume a queue `until` something says that the other one's turn has come.

        Raises BrokerUnavailable when the subscription ends before.
        """
        turn = asyncio.ensure_future(until)
        try:
            await self._subscribed(connection, lane, turn)
        finally:
            turn.cancel()
            await asyncio.wait((turn,))

    async def _subscribed(
        self, connection: Connection, lane: Lane, turn: "asyncio.Future[None]"
    ) -> None:
        self._lane = lane
        prefetch = lane.prefetch(connection.version)
        try:
            subscription = await connection.subscribe(
                lane.queue, prefetch=prefetch, on_delivery=self._offer
            )
        except TopologyMismatch as error:
            # It was there a moment ago: the next connection's preparation makes it, or says so.
            raise BrokerUnavailable(str(error)) from None
        self._subscription = subscription
        if self._draining.is_set():  # the stop came meanwhile, and saw only the one before
            await self._hand_back(subscription)
            await subscription.close()
            return
        self._health.set(READY, None)
        if lane is self._main:
            self._metrics.prefetch.set(prefetch)
            self._log.info("subscribed", queue=lane.queue, prefetch=prefetch)
        ended = subscription.ended
        await asyncio.wait((ended, turn), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done() and not self._draining.is_set():
            await subscription.cancel()
            await self._quiet()  # all that it has given is handled: to hand it back would count
            if not self._draining.is_set():
                await subscription.close()
                return
        reason = await asyncio.shield(ended)
        if self._draining.is_set():
            return
        self._health.set(READY, reason)
        self._waiting.forget(lambda _: True)  # their channel is gone: they are given out again
        self._log.warning("subscription_ended", queue=lane.queue, reason=reason)
        raise BrokerUnavailable(reason)

    async def _quiet(self) -> None:
        """Wait until nothing runs and nothing waits here, or the drain has begun."""
        while (self._running or len(self._waiting)) and not self._draining.is_set():
            self._pump()
            if self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)

    async def _suspects_wait(self, connection: Connection) -> bool:
        try:
            return await connection.depth(self._alone.queue) > 0
        except TopologyMismatch as error:
            raise BrokerUnavailable(str(error)) from None

    async def _suspect_waits(self, connection: Connection) -> None:
        """Return when one has waited for its turn; each replica looks at a time of its own."""
        while True:
            await asyncio.sleep(LOOK_SECONDS * (0.5 + random.random()))  # noqa: S311 - spread, no secret
            with suppress(BrokerUnavailable):  # the subscription ends with the connection
                if await self._suspects_wait(connection):
                    return

    async def _no_suspect_waits(self, connection: Connection) -> None:
        """Return when none is left, or others have waited for long enough."""
        end = self._loop.time() + LONGEST_ALONE_SECONDS
        while True:
            await asyncio.sleep(ALONE_LOOK_SECONDS)
            if self._running:
                continue
            with suppress(BrokerUnavailable):
                if self._loop.time() > end or not await self._suspects_wait(connection):
                    return

    async def drain(self, within: float) -> None:
        """Stop in the order of these words.

        No more deliveries, hand back what waits, let finish what runs (`within` seconds), hand back
        what did not finish, and make sure that the broker knows.
        """
        deadline = self._loop.time() + within
        self._draining.set()
        self._health.set("drain", "stopping")
        subscription = self._subscription
        waiting = len(self._waiting)
        if subscription is not None:
            await self._hand_back(subscription)
        self._log.info("draining", running=len(self._running), handed_back=waiting)
        if self._running:
            left = max(0.0, deadline - self._loop.time())
            _, overdue = await asyncio.wait(self._running, timeout=left)
            for task in overdue:
                stop(task)
            if overdue:
                self._log.warning("drain_deadline", handed_back=len(overdue))
                await asyncio.wait(overdue)
        if subscription is not None:
            await subscription.close()
        if not self._over.done():
            self._over.set_result(None)

    async def _keep(self) -> None:
        """Stand in the service's group for the tasks of all deliveries.

        An error in one of them ends the group, and the end of the group ends them. They are not in
        it themselves: what a group does for each of its tasks is a tenth of what an event costs.
        """
        try:
            await self._over
        finally:
            self._failed = True
            for task in self._running:
                stop(task)
            if self._running:
                await asyncio.wait(self._running)

    async def _hand_back(self, subscription: Subscription) -> None:
        """End the deliveries, then give back what waits: the other way round it comes at once."""
        await subscription.cancel()
        while (delivery := self._waiting.take()) is not None:
            delivery.nack()

    def _offer(self, delivery: Delivery) -> None:
        self._waiting.offer(delivery)
        self._pump()

    def _pump(self) -> None:
        if self._draining.is_set() or self._failed:
            return
        lane = self._lane
        while len(self._running) < lane.concurrency:
            delivery = self._waiting.take()
            if delivery is None:
                return
            if delivery.alive():
                task = begun(lane.process(delivery), loop=self._loop, name=lane.queue)
                if task.done():
                    self._look_at(task)
                else:
                    self._running.add(task)
                    task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._look_at(task)
        if len(self._waiting):
            self._pump()

    def _look_at(self, task: asyncio.Task[object]) -> None:
        """End the service with the error of a task, if it has one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = True
            if not self._over.done():
                self._over.set_exception(error)
