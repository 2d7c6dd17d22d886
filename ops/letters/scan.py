"""`Scan`: look at each message that lies in a queue now, and leave it there unless told to take it.

The set is frozen: a scan yields at most as many messages as were ready at its start. Without that a
replay of events that come back (still no queue bound, the handler still broken) would never end.

What was looked at is held, unacknowledged, until the scan ends: a quorum queue delivers what is
handed back first, so handing back at once would show the same message again and again. It ends with
an explicit nack each, which counts nothing on RabbitMQ 4.3; closing the channel would.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from common.broker import Connection, Subscription
from common.errors import BrokerUnavailable
from common.message import Delivery, Settler

QUIET_SECONDS = 2.0
"""Silence after which the queue is asked whether anything is left: others may hold the rest."""
QUIET_AT_MOST = 15
"""Silences in a row, while the queue says that it has messages, before we give up."""
HELD_PER_LAYER = 100
"""A new layer has room for at least one message for each so many that are held."""
CLOSED_AT_ONCE = 8
"""Layers that hand back side by side: each has a deadline, which a thousand at once would miss."""
MAX_PREFETCH = 65_535


class Place(NamedTuple):
    """Where a delivery can be settled; all that needs to be kept of one that was looked at."""

    channel: Settler
    tag: int

    @classmethod
    def of(cls, delivery: Delivery) -> "Place":
        """Return the place of a delivery."""
        return cls(delivery.channel, delivery.tag)


class Scan:
    """One pass over a queue. `depth`: messages ready at its start; `seen`: yielded so far."""

    def __init__(self, connection: Connection, queue: str, *, depth: int, window: int) -> None:
        self.depth = depth
        self.seen = 0
        self.lost = False
        """Known at its end: a channel was gone before the broker had every ack and nack."""
        self._connection = connection
        self._queue = queue
        self._half_window = max(1, window // 2)
        self._layers: list[Subscription] = []
        self._capacity = 0
        self._arrived: deque[Delivery] = deque()
        self._open: dict[Place, None] = {}
        """Yielded and not acked, in the order of the queue."""
        self._held = 0
        self._halted = False
        self._news = asyncio.Event()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        """Yield each message once; each is then acked with `ack` or kept until the end with `hold`.

        Ends early when halted, and when others hold the rest. Raises BrokerUnavailable when the
        connection is lost, AccessRefused when this user may not read the queue.
        """
        while self.seen < self.depth and not self._halted:
            if self._arrived:
                delivery = self._arrived.popleft()
                self._open[Place.of(delivery)] = None
                self.seen += 1
                yield delivery
            else:
                await self._widen()
                if not await self._something_new():
                    return

    def ack(self, place: Place) -> bool:
        """Take a message out; False when its channel is gone, so that it will come again."""
        self._open.pop(place, None)
        return place.channel.ack(place.tag)

    def hold(self, delivery: Delivery) -> Place:
        """Keep a message from coming again in this scan; it is handed back at the end."""
        self._held += 1
        return Place.of(delivery)

    def halt(self) -> None:
        """End the iteration: what has not been yielded yet stays in the queue."""
        self._halted = True
        self._news.set()

    async def close(self) -> None:
        """Hand back everything that was not acked, and wait until the broker has it all."""
        # First no more deliveries, or what one channel hands back would come to another of ours.
        await asyncio.gather(*(layer.cancel() for layer in self._layers))
        tags: defaultdict[Settler, list[int]] = defaultdict(list)
        for channel, tag in (*self._open, *map(Place.of, self._arrived)):
            tags[channel].append(tag)
        few = asyncio.Semaphore(CLOSED_AT_ONCE)

        async def hand_back(layer: Subscription) -> None:
            async with few:
                self.lost = self.lost or layer.ended.done()
                for tag in tags[layer]:
                    layer.nack(tag)
                await layer.close()

        await asyncio.gather(*map(hand_back, self._layers))
        self.lost = self.lost or self._connection.closed.is_set()

    async def _widen(self) -> None:
        """Consume once more where most of what the broker may give us is held.

        So between half a window and one window is under way: that many bodies are in memory, and
        that many replays unacknowledged, however many messages a filter passes over. Only where it
        has passed over very many is it a part of those, for a connection has some 2000 channels.
        """
        size = min(MAX_PREFETCH, max(self._half_window, self._held // HELD_PER_LAYER))
        while (
            self._capacity - self._held <= size and self._capacity < self.depth and not self._halted
        ):
            layer = await self._connection.subscribe(
                self._queue, prefetch=size, on_delivery=self._on_delivery
            )
            self._layers.append(layer)
            self._capacity += size
            layer.ended.add_done_callback(lambda _: self._news.set())

    async def _something_new(self) -> bool:
        """Wait for a delivery, an end, or a halt; False when nothing is left to wait for."""
        for _ in range(QUIET_AT_MOST):
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                if await self._connection.depth(self._queue) == 0:
                    return False
                continue
            self._news.clear()
            ended = [layer.ended.result() for layer in self._layers if layer.ended.done()]
            if ended and not self._arrived:
                raise BrokerUnavailable(f"queue '{self._queue}': {ended[0]}")
            return True
        raise BrokerUnavailable(
            f"queue '{self._queue}' has messages and gives none; ask its broker for its state"
        )

    def _on_delivery(self, delivery: Delivery) -> None:
        self._arrived.append(delivery)
        self._news.set()


@asynccontextmanager
async def scan(
    connection: Connection, queue: str, *, window: int, stop: asyncio.Event
) -> AsyncIterator[Scan]:
    """Scan a queue; ends early when `stop` is set. At most `window` messages are under way.

    Raises TopologyMismatch when there is no such queue.
    """
    found = Scan(connection, queue, depth=await connection.depth(queue), window=window)

    async def halt_when_stopped() -> None:
        await stop.wait()
        found.halt()

    watch = asyncio.create_task(halt_when_stopped(), name=f"stop of the scan of {queue}")
    try:
        yield found
    finally:
        watch.cancel()
        await found.close()
