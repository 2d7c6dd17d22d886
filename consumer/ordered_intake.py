"""From the queues of an ordered home to the handlers: each key in order, and away in order.

Whoever gives up a queue with a single active consumer must not cancel, nor close a channel or the
connection: the next consumer would get the unsettled behind newer events. So this one finishes
what runs, settles it, and drops the socket; what is unsettled then comes first, in its old order.
"""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.broker import Connection, Subscription
from common.errors import BrokerUnavailable, TopologyMismatch
from common.event import Event
from common.homes import Home
from common.logs import get_logger
from common.message import Delivery
from common.metrics import Metrics
from common.probes import Health
from common.stopping import asked_to_stop
from consumer.calling import stop
from consumer.failure import Failure
from consumer.intake import READY, begun
from consumer.lanes import ByKey
from consumer.sharing import Sharing

LOOK_SECONDS = 1.5
"""Between two looks at the partitions, and at what is in hand for long."""
SOON_SECONDS = 0.2
LOOKS_SOON = 10
"""So many looks come sooner after a start: what was dropped is free a moment later."""


@dataclass(eq=False, slots=True)
class InHand:
    """A delivery that is not settled."""

    delivery: Delivery
    key: str
    """Those of one key run one after the other."""
    alone: bool
    """Whether nothing may run beside it."""
    at: float
    """When it arrived, by the loop's clock."""
    read: Event | Failure | None = field(default=None)
    """What it was read as, once it was."""


class Handling(Protocol):
    """What is done with deliveries."""

    def arrived(self, delivery: Delivery, at: float) -> InHand:
        """Find its lane."""

    def __call__(self, one: InHand) -> Coroutine[Any, Any, float | None]:
        """Handle it; seconds where it is to be handled again after so long."""


class OrderedIntake:
    """Takes the deliveries of an ordered home; same calls as `Intake`."""

    def __init__(
        self,
        home: Home,
        handling: Handling,
        tasks: asyncio.TaskGroup,
        health: Health,
        metrics: Metrics,
        *,
        concurrency: int,
        prefetch: int,
        renew_after: float,
    ) -> None:
        """`renew_after`: seconds in hand after which a delivery is taken anew."""
        self._home = home
        self._handling = handling
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._renew_after = renew_after
        self._health = health
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._sharing = Sharing(home, metrics) if home.partitions else None
        self._lanes = ByKey[InHand](lambda one: one.key, lambda one: one.alone)
        self._in_hand: dict[InHand, None] = {}
        """Unsettled on the living connection, the oldest first."""
        self._running: dict[asyncio.Task[float | None], InHand] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._connection: Connection | None = None
        self._leaving = False
        self._draining = asyncio.Event()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._log = get_logger()
        metrics.prefetch.set(prefetch)
        metrics.in_hand.set_function(lambda: len(self._in_hand))
        tasks.create_task(self._keep(), name=f"deliveries of {home.entrance}")

    async def session(self, connection: Connection) -> None:
        """Consume on this connection until it is over, or left."""
        if not self._draining.is_set():
            self._connection = connection
            self._subscriptions = {}
            try:
                await self._consume(connection)
            except (
                BrokerUnavailable
            ) as error:  # of one queue, perhaps: the others are left in order
                if not connection.closed.is_set():
                    await self._leave(connection, str(error))
                raise
            finally:
                if not (self._draining.is_set() or connection.closed.is_set()):
                    await connection.drop("the service ends")  # a close would break the order
                self._forget()
        if asked_to_stop():  # an RPC may have swallowed the cancellation
            raise asyncio.CancelledError
        await connection.closed.wait()

    async def drain(self, within: float) -> None:
        """Start nothing more, let finish what runs (`within` seconds), and leave in order."""
        self._draining.set()
        self._health.set("drain", "stopping")
        running = set(self._running)
        waiting = len(self._in_hand) - len(running)
        self._log.info("draining", running=len(running), handed_back=max(0, waiting))
        if running:
            _, overdue = await asyncio.wait(running, timeout=within)
            for task in overdue:
                stop(task)
            if overdue:
                self._log.warning("drain_deadline", handed_back=len(overdue))
                await asyncio.wait(overdue)
        connection = self._connection
        if connection is not None and not connection.closed.is_set():
            await self._drop(connection, "stopping")
        if not self._over.done():
            self._over.set_result(None)

    async def _consume(self, connection: Connection) -> None:
        home, sharing = self._home, self._sharing
        if sharing is not None:
            sharing.anew()
            await self._subscribe(connection, sharing.members)
            await self._subscribe(connection, home.others)
        else:
            await self._subscribe(connection, home.entrance)
        self._health.set(READY, None)
        self._log.info("subscribed", queue=home.entrance, prefetch=self._prefetch, order=home.name)
        looks = 0
        while not self._draining.is_set():
            looks += 1
            why = ""
            if sharing is not None:
                mine = self._subscriptions.keys()
                why = await sharing.step(connection, mine, self._subscribe)
            if not why and self._is_due():
                why = "to take anew what has been in hand for long"
            if why:
                await self._leave(connection, why)
                return
            if reason := await self._ended(looks):
                if self._draining.is_set():
                    return
                self._health.set(READY, reason)
                self._log.warning("subscription_ended", queue=home.entrance, reason=reason)
                raise BrokerUnavailable(reason)

    async def _subscribe(self, connection: Connection, queue: str) -> None:
        try:
            self._subscriptions[queue] = await connection.subscribe(
                queue, prefetch=self._prefetch, on_delivery=self._offer
            )
        except TopologyMismatch as error:
            # It was there a moment ago: the next connection's preparation makes it, or says so.
            raise BrokerUnavailable(str(error)) from None

    def _is_due(self) -> bool:
        oldest = next(iter(self._in_hand), None)
        return oldest is not None and self._loop.time() - oldest.at > self._renew_after

    async def _ended(self, looks: int) -> str:
        """Wait for the next look; return why a subscription has ended, if one has."""
        ends = [one.ended for one in self._subscriptions.values()]
        seconds = SOON_SECONDS if looks <= LOOKS_SOON else LOOK_SECONDS
        seconds *= 0.5 + random.random()  # noqa: S311 - spread, no secret
        done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return next((one.result() for one in done), "")

    async def _leave(self, connection: Connection, why: str) -> None:
        """Give everything up in its order; what runs finishes before."""
        self._leaving = True
        try:
            while living := [t for t, one in self._running.items() if one.delivery.alive()]:
                # Lost meanwhile, there is nothing to wait for.
                ends = [one.ended for one in self._subscriptions.values() if one.alive()]
                waited: list[asyncio.Future[Any]] = [*living, *ends]
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if asked_to_stop():
                    raise asyncio.CancelledError
            if not self._draining.is_set():  # else it is the drain that leaves
                await self._drop(connection, why)
        finally:
            self._leaving = False

    async def _drop(self, connection: Connection, why: str) -> None:
        await asyncio.gather(*[one.flush() for one in self._subscriptions.values()])
        await connection.drop(why)
        self._forget()

    def _forget(self) -> None:
        """What waits and is held comes again; what runs goes on, and keeps its key."""
        self._lanes.forget(lambda one: not one.delivery.alive())
        self._in_hand = {one: None for one in self._in_hand if one.delivery.alive()}
        self._metrics.partitions.set(0)

    async def _keep(self) -> None:
        """Stand in the service's group for the tasks of all deliveries; see `Intake`."""
        try:
            await self._over
        finally:
            for task in self._running:
                stop(task)
            if self._running:
                await asyncio.wait(self._running)

    def _offer(self, delivery: Delivery) -> None:
        one = self._handling.arrived(delivery, self._loop.time())
        self._in_hand[one] = None
        self._lanes.offer(one)
        self._pump()

    def _pump(self) -> None:
        while self._may_begin() and self._lanes.running < self._concurrency:
            one = self._lanes.take()
            if one is None:
                return
            if not one.delivery.alive():
                self._lanes.done(one)
                self._in_hand.pop(one, None)
                continue
            task = begun(self._handling(one), loop=self._loop, name=one.key)
            if task.done():
                self._end(task, one)
            else:
                self._running[task] = one
                task.add_done_callback(self._finished)

    def _may_begin(self) -> bool:
        if self._leaving or self._draining.is_set() or self._over.done():
            return False
        # After a silence the broker may have given to others what is in hand.
        return self._connection is not None and not self._connection.silent

    def _finished(self, task: "asyncio.Task[float | None]") -> None:
        self._end(task, self._running.pop(task))
        self._pump()

    def _end(self, task: "asyncio.Task[float | None]", one: InHand) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._over.done():
            self._over.set_exception(error)
        again = None if task.cancelled() or error is not None else task.result()
        if again is not None and one.delivery.alive():
            self._lanes.hold(one)
            self._loop.call_later(again, self._resume, one)
        else:
            self._lanes.done(one)
            self._in_hand.pop(one, None)

    def _resume(self, one: InHand) -> None:
        self._lanes.resume(one)
        self._pump()
