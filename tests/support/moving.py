"""A group that is moved to another home while events come and old consumers handle them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from common.broker import Connection, Subscription, connect
from common.group_topology import group_base
from common.homes import Home, home_topology
from common.message import Confirmed, Delivery, Message, Publishing
from common.slot import SLOT, slot_of
from common.topology import EVENTS, tier_name
from ops.management import Management
from ops.migrate import Mover
from support.broker import Broker
from support.waiting import until

TYPES = ("order.created", "order.paid", "order.sent")
RETRIED = 40
"""Each event with such a number, and its multiples, goes through a delay tier first."""


class Publisher:
    """Publishes numbered events of all types without pause, each confirmed before the next."""

    def __init__(self) -> None:
        self.count = 0
        self.enough = False

    async def run(self, connection: Connection) -> None:
        while not self.enough:
            key = slot_of(f"customer-{self.count % 50}")
            message = Message(str(self.count).encode(), headers={SLOT: key})
            type_ = TYPES[self.count % len(TYPES)]
            answer = await connection.publish(Publishing(EVENTS, type_, message))
            assert isinstance(answer, Confirmed)
            self.count += 1


@asynccontextmanager
async def publishing(uri: str) -> AsyncIterator[Publisher]:
    """Publish in the background, at least ten events before the block begins and at its end."""
    publisher = Publisher()
    async with connect(uri, name="publisher") as connection, asyncio.TaskGroup() as tasks:
        tasks.create_task(publisher.run(connection))
        await until(lambda: publisher.count > 10)
        yield publisher
        last = publisher.count + 10
        await until(lambda: publisher.count > last)
        publisher.enough = True


class Handling:
    """A plain consumer of a whole home, in the order in which it got the events."""

    def __init__(self, connection: Connection, home: Home, *, retries: bool) -> None:
        self.numbers: list[int] = []
        self._connection = connection
        self._home = home
        self._retries = retries
        self._under_way: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []

    async def begin(self) -> None:
        for name in self._home.queue_names:
            self._subscriptions.append(
                await self._connection.subscribe(name, prefetch=50, on_delivery=self._take)
            )

    async def end(self) -> None:
        for one in self._subscriptions:
            await one.cancel()
            await one.flush()
        await until(lambda: not self._under_way, what="the retries are stored")
        for one in self._subscriptions:
            await one.close()

    def _take(self, delivery: Delivery) -> None:
        number = int(delivery.message.body)
        came_back = delivery.exchange != EVENTS and "return" in delivery.exchange
        if not self._retries or number % RETRIED or came_back:
            self.numbers.append(number)
            delivery.ack()
            return
        task = asyncio.create_task(self._again(delivery))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _again(self, delivery: Delivery) -> None:
        """Retry as a consumer does: the copy is safe before the ack."""
        tier, group = tier_name(self._home.group, 1), self._home.group
        message = delivery.message._replace(headers={SLOT: delivery.message.headers[SLOT]})
        answer = await self._connection.publish(Publishing(tier, group, message))
        assert isinstance(answer, Confirmed)
        delivery.ack()


@asynccontextmanager
async def handling(uri: str, home: Home, *, retries: bool = True) -> AsyncIterator[Handling]:
    """Handle what is in a home, until the block or `end`."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(connect(uri, name="handling"))
        consumer = Handling(connection, home, retries=retries)
        await consumer.begin()
        yield consumer


async def move(broker: Broker, target: Home, say: Callable[[str], None], *, lag: float) -> None:
    """Run `tidings topology migrate` in this process."""
    management = Management(broker.management_uri, broker.uri)
    parts = group_base(target.group, longest_delay=2) + home_topology(target)
    async with connect(broker.uri, name="migrate") as connection:
        mover = Mover(connection, management, say=say, lag=lag)
        await mover.move(target, parts, frozenset(TYPES), asyncio.Event())
