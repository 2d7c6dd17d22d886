"""One live connection: publish, subscribe, declare. Once lost, a new one takes its place."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, TypeVar

import aio_pika
from aiormq.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelNotFoundEntity

from common.broker.declaring import RPC_SECONDS, Declarer, lost_is_unavailable
from common.broker.dial import SILENCE_SECONDS, dial
from common.broker.fastlane.confirming import Answered
from common.broker.fastlane.deliveries import Subscription
from common.broker.fastlane.publisher import Publisher
from common.broker.fastlane.transport import Lane
from common.errors import AccessRefused, BrokerUnavailable, TopologyMismatch
from common.message import Answer, Delivery, Publishing
from common.topology import Exchange, Queue, Topology

T = TypeVar("T")

PUBLISH_SECONDS = 10.0
WATCH_SECONDS = 1.0
CLOSE_SECONDS = 1.5
"""With `Subscription.close` less than what a service has after its drain deadline."""


class Connection:
    """A connection to the broker. `closed` is set, and `reason` filled in, when it is over."""

    def __init__(self, raw: aio_pika.Connection, lane: Lane) -> None:
        if raw.transport is None:
            raise BrokerUnavailable("the connection was lost while it was opened")
        self._raw = raw
        self._lane = lane
        self._amqp: AbstractConnection = raw.transport.connection
        self.version = _version(self._amqp)
        self.closed = asyncio.Event()
        self.reason = ""
        self.dropped = False
        """Whether `drop` ended it: nobody else is at fault, and there is nothing to wait for."""
        self._publisher = Publisher(self._amqp, lane)
        self._declarer = Declarer(self._amqp, self.version)
        lane.on_lost = self._end
        if lane.ended.done():
            self._end(lane.ended.result())
        self._amqp.closing.add_done_callback(self._on_closed)
        self._watcher = asyncio.create_task(self._watch(), name="connection watch")

    @property
    def blocked(self) -> bool:
        """Whether the broker takes no publishes now (memory or disk alarm)."""
        return bool(self._lane.blocked)

    @property
    def why_blocked(self) -> str:
        """The broker's own words for it; empty when it is not blocked."""
        return self._lane.blocked

    @property
    def silent(self) -> bool:
        """Whether it is to be given up: after so long without a byte the broker may have done so.

        A process that was stopped, or whose loop was blocked, sees it before it sees the end.
        """
        return self._lane.silent_for() > SILENCE_SECONDS

    def when_blocked(self, told: Callable[[str], None]) -> None:
        """Call `told` with the reason when the broker blocks us, with "" when it does no more."""
        self._lane.on_blocked = told

    @property
    def sendable(self) -> bool:
        """Whether `send` may be called now: not blocked, the socket not full, not closed."""
        return self._publisher.sendable

    async def until_sendable(self) -> None:
        """Wait until `sendable` or until the connection is closed, whichever comes first."""
        await self._publisher.until_sendable()

    def send(
        self, publishing: Publishing, answered: Answered, *, timeout: float = PUBLISH_SECONDS
    ) -> None:
        """Publish without waiting; call it only while `sendable`. Raises InvalidEvent.

        `answered` is called exactly once, later, from the event loop: with the broker's answer,
        with Unknown when the channel is lost or `timeout` seconds have passed, or with the error
        (AccessRefused, InvalidEvent) that no repetition mends.
        """
        self._publisher.send(publishing, answered, timeout=timeout)

    async def publish(self, publishing: Publishing, *, timeout: float = PUBLISH_SECONDS) -> Answer:
        """Publish and return the broker's answer; see Publisher.publish for what it raises."""
        return await self._publisher.publish(publishing, timeout=timeout)

    async def subscribe(
        self, queue: str, *, prefetch: int, on_delivery: Callable[[Delivery], None]
    ) -> Subscription:
        """Consume a queue with `prefetch` deliveries under way at most.

        `on_delivery` is called in the order of the queue and must not block. Raises
        TopologyMismatch, AccessRefused or BrokerUnavailable.
        """
        return await self._while_open(self._subscribe(queue, prefetch, on_delivery))

    async def _subscribe(
        self, queue: str, prefetch: int, on_delivery: Callable[[Delivery], None]
    ) -> Subscription:
        try:
            async with lost_is_unavailable():
                channel = await self._amqp.channel(publisher_confirms=False, timeout=RPC_SECONDS)
                subscription = Subscription(
                    self._lane, channel, prefetch=prefetch, on_delivery=on_delivery
                )
                await subscription.start(queue)
        except ChannelNotFoundEntity:
            raise TopologyMismatch(f"queue '{queue}' does not exist") from None
        except ChannelAccessRefused as error:
            message = f"queue '{queue}': this user may not read it: {error}"
            raise AccessRefused(message) from None
        except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
            raise BrokerUnavailable(f"queue '{queue}': cannot consume: {error}") from None
        return subscription

    async def ensure(self, topology: Topology, mode: Literal["declare", "check"]) -> None:
        """Make sure that the topology is there: create what is missing, or only verify."""
        make = self._declarer.declare if mode == "declare" else self._declarer.check
        await self._while_open(make(topology))

    async def depth(self, queue: str) -> int:
        """Return the messages ready in a queue; raises TopologyMismatch when it is gone."""
        return await self._while_open(self._declarer.depth(queue))

    async def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has; raises TopologyMismatch when it is gone."""
        return await self._while_open(self._declarer.consumers(queue))

    async def exists(self, item: Exchange | Queue) -> bool:
        """Tell whether an exchange or queue of this name is there, and may be seen."""
        return await self._while_open(self._declarer.exists(item))

    async def hold(self, name: str) -> bool:
        """Hold a name for as long as this connection lives; False while another one has it."""
        return await self._while_open(self._declarer.hold(name))

    async def drop(self, reason: str) -> None:
        """Drop the socket without a word, as a process that dies does.

        Then the broker hands out anew what is unsettled in its old order, before what is newer:
        after a cancel, or the close of a channel or a connection, it comes behind. Flush the
        subscriptions first.
        """
        self.dropped = True
        self._watcher.cancel()
        self._lane.abort()
        self._end(reason)
        await self._lane.ended

    async def release(self, name: str) -> None:
        """Let another connection hold a name that this one holds."""
        await self._while_open(self._declarer.release(name))

    async def close(self) -> None:
        """Close in good order; a peer that does not answer is dropped."""
        self._watcher.cancel()
        try:
            with suppress(TimeoutError, AMQPError, OSError, RuntimeError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._raw.close()
        finally:  # also when who closes it is cancelled
            self._lane.abort()
            self._end("closed")

    async def _while_open(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for RPCs while it is open: closed by the broker, aiormq lets some wait on."""
        task = asyncio.ensure_future(work)
        closed = asyncio.ensure_future(self.closed.wait())
        try:
            await asyncio.wait((task, closed), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise BrokerUnavailable(self.reason or "the connection was lost")
        finally:
            closed.cancel()
            if not task.done():
                task.add_done_callback(_seen)
                task.cancel()

    async def _watch(self) -> None:
        """Drop a silent peer."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self.silent:
                self._end(f"no sign of life for {SILENCE_SECONDS} s")
                self._lane.abort()
                return

    def _on_closed(self, closing: "asyncio.Future[object]") -> None:
        error = None if closing.cancelled() else closing.exception()
        self._end(str(error) if error else "closed")

    def _end(self, reason: str) -> None:
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()


@asynccontextmanager
async def connect(uri: str, *, name: str) -> AsyncIterator[Connection]:
    """Connect once; close at the end. `name` is shown in the broker's list of connections.

    Raises BrokerUnavailable when trying again can help, AccessRefused when the broker said no.
    """
    raw, lane = await dial(uri, name=name)
    connection = Connection(raw, lane)
    try:
        yield connection
    finally:
        await connection.close()


def _seen(task: "asyncio.Task[Any]") -> None:
    """Look at the error of what nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _version(amqp: AbstractConnection) -> tuple[int, int]:
    found = (amqp.server_properties or {}).get("version", "0.0")
    text = found.decode() if isinstance(found, bytes) else str(found)
    major, minor, *_ = [*text.split("."), "0", "0"]
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)
