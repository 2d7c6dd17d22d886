"""From the subscription to the handlers: bounded concurrency, and the drain.

A lost connection ends no handler: what runs goes on, what merely waited comes back by itself.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from common.broker import Connection, Subscription
from common.errors import BrokerUnavailable, TopologyMismatch
from common.logs import get_logger
from common.message import Delivery
from common.metrics import Metrics
from common.probes import Health

READY = "subscription"

_begun: Callable[..., asyncio.Task[None]] = asyncio.Task
"""Starts a delivery's task, on 3.12 and later at once, up to where it first waits: most handlers of
small events never do."""
if sys.version_info >= (3, 12):
    _begun = partial(asyncio.Task, eager_start=True)


class Intake:
    """Takes deliveries of one queue and gives each to `process`, `concurrency` at a time."""

    def __init__(
        self,
        queue: str,
        process: Callable[[Delivery], Coroutine[Any, Any, None]],
        tasks: asyncio.TaskGroup,
        health: Health,
        metrics: Metrics,
        *,
        concurrency: int,
        prefetch: int,
    ) -> None:
        self._queue = queue
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        """Ends with the drain, or with the error of a delivery's task."""
        self._health = health
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._waiting: deque[Delivery] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None
        self._draining = asyncio.Event()
        self._failed = False
        self._log = get_logger()
        metrics.prefetch.set(prefetch)
        tasks.create_task(self._keep(), name=f"deliveries of {queue}")

    async def session(self, connection: Connection) -> None:
        """Consume on this connection until the subscription is over."""
        if self._draining.is_set():
            await connection.closed.wait()  # nothing more is wanted of it
            return
        try:
            subscription = await connection.subscribe(
                self._queue, prefetch=self._prefetch, on_delivery=self._offer
            )
        except TopologyMismatch as error:
            # It was there a moment ago: the next connection's preparation makes it, or says so.
            raise BrokerUnavailable(str(error)) from None
        self._subscription = subscription
        if self._draining.is_set():  # the stop came meanwhile, and saw only the one before
            await self._hand_back(subscription)
            await subscription.close()
        else:
            self._health.set(READY, None)
            self._log.info("subscribed", queue=self._queue, prefetch=self._prefetch)
        reason = await asyncio.shield(subscription.ended)
        if self._draining.is_set():
            await connection.closed.wait()  # the drain closes it; a new one is not wanted
            return
        self._health.set(READY, reason)
        self._waiting.clear()  # their channel is gone: the broker gives them out again
        self._log.warning("subscription_ended", queue=self._queue, reason=reason)

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
                task.cancel()
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
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)

    async def _hand_back(self, subscription: Subscription) -> None:
        """End the deliveries, then give back what waits: the other way round it comes at once."""
        await subscription.cancel()
        while self._waiting:
            self._waiting.popleft().nack()

    def _offer(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._pump()

    def _pump(self) -> None:
        if self._draining.is_set() or self._failed:
            return
        while self._waiting and len(self._running) < self._concurrency:
            delivery = self._waiting.popleft()
            if delivery.alive():
                task = _begun(self._process(delivery), loop=self._loop, name=self._queue)
                if task.done():
                    self._look_at(task)
                else:
                    self._running.add(task)
                    task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._look_at(task)
        if self._waiting:
            self._pump()

    def _look_at(self, task: asyncio.Task[None]) -> None:
        """End the service with the error of a task, if it has one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = True
            if not self._over.done():
                self._over.set_exception(error)
