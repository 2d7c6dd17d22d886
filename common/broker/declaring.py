"""Carry a topology out on a connection: create what is missing, or only verify that it is there.

Each step that may fail runs on a channel of its own, because the broker closes the channel.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp.commands import Queue as QueueMethods
from pamqp.common import FieldValue

from common.errors import AccessRefused, BrokerUnavailable, TopologyMismatch
from common.logs import get_logger
from common.stopping import asked_to_stop
from common.topology import Binding, Exchange, Queue, Topology

T = TypeVar("T")
RPC_SECONDS = 10.0
_CLASSIC: dict[str, FieldValue] = {"x-queue-type": "classic"}
"""Said in words: where the virtual host's default is quorum, an exclusive queue is refused."""
_DIFFERENCE = re.compile(r"inequivalent arg '([^']+)'.*?: received (.+?) but current is (.+)$")


@asynccontextmanager
async def lost_is_unavailable() -> AsyncIterator[None]:
    """Say what aiormq says by cancelling whoever waits: the connection is gone.

    The other way round it can swallow the cancellation of who opens a channel: then it is raised
    here, or a stop would be lost.
    """
    try:
        yield
    except asyncio.CancelledError:
        if asked_to_stop():
            raise
        raise BrokerUnavailable("the connection was lost") from None
    if asked_to_stop():
        raise asyncio.CancelledError


class Declarer:
    """Declares or verifies on one connection."""

    def __init__(self, connection: AbstractConnection, version: tuple[int, int]) -> None:
        self._connection = connection
        self._version = version
        self._channel: AbstractChannel | None = None
        self._one = asyncio.Lock()
        """One caller at a time: a refused step closes the channel under everybody who uses it."""

    async def declare(self, topology: Topology) -> None:
        """Create what is missing. Raises TopologyMismatch, AccessRefused or BrokerUnavailable."""
        async with self._one, lost_is_unavailable():
            await self._declare(topology)

    async def check(self, topology: Topology) -> None:
        """Verify that exchanges and queues exist; AMQP cannot look at bindings or arguments."""
        async with self._one, lost_is_unavailable():
            await self._check(topology)

    async def depth(self, queue: str) -> int:
        """Return the messages ready in a queue.

        Raises TopologyMismatch when it is gone, AccessRefused or BrokerUnavailable.
        """
        return (await self._look_at(queue)).message_count or 0

    async def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has; raises as `depth` does."""
        return (await self._look_at(queue)).consumer_count or 0

    async def exists(self, item: Exchange | Queue) -> bool:
        """Tell whether there is an exchange or a queue of this name. Raises BrokerUnavailable.

        What this user may not see counts as not there.
        """
        async with self._one, lost_is_unavailable():
            if isinstance(item, Queue):
                return await self._exists(self._passive_queue, item, hidden=False)
            return await self._exists(self._passive_exchange, item, hidden=False)

    async def hold(self, name: str) -> bool:
        """Declare an exclusive queue of this name; False while another connection holds it.

        It lasts as long as the connection, and holds no message. Raises AccessRefused or
        BrokerUnavailable.
        """
        async with self._one, lost_is_unavailable():
            channel = await self._open()
            try:
                await channel.queue_declare(
                    name, exclusive=True, arguments=_CLASSIC, timeout=RPC_SECONDS
                )
            except ChannelLockedResource:
                return False
            except ChannelAccessRefused as error:
                message = f"queue '{name}': this user may not declare it: {error}"
                raise AccessRefused(message) from None
            except _LOST as error:
                raise BrokerUnavailable(_lost(error)) from None
            return True

    async def release(self, name: str) -> None:
        """Give up a name that this connection holds. Raises BrokerUnavailable."""
        async with self._one, lost_is_unavailable():
            channel = await self._open()
            try:
                await channel.queue_delete(name, timeout=RPC_SECONDS)
            except _LOST as error:
                raise BrokerUnavailable(_lost(error)) from None

    async def _declare(self, topology: Topology) -> None:
        for exchange in topology.exchanges:
            await self._step(f"exchange '{exchange.name}'", self._declare_exchange, exchange)
        for queue in topology.queues:
            await self._declare_queue_or_warn(queue)
        for binding in topology.bindings:
            what = f"binding of '{binding.queue}' to exchange '{binding.exchange}'"
            await self._step(what, self._bind, binding)

    async def _check(self, topology: Topology) -> None:
        missing = [
            *[
                f"exchange '{exchange.name}'"
                for exchange in topology.exchanges
                if not await self._exists(self._passive_exchange, exchange)
            ],
            *[
                f"queue '{queue.name}'"
                for queue in topology.queues
                if not await self._exists(self._passive_queue, queue)
            ],
        ]
        if missing:
            message = (
                f"missing on the broker: {', '.join(missing)}; create them, or start once with "
                "TIDINGS_TOPOLOGY=declare and a user that may configure"
            )
            raise TopologyMismatch(message)

    async def _look_at(self, queue: str) -> QueueMethods.DeclareOk:
        async with self._one, lost_is_unavailable():
            return await self._counted(queue)

    async def _counted(self, queue: str) -> QueueMethods.DeclareOk:
        channel = await self._open()
        try:
            return await channel.queue_declare(queue, passive=True, timeout=RPC_SECONDS)
        except ChannelNotFoundEntity:
            message = f"queue '{queue}' does not exist; start a consumer of that group once"
            raise TopologyMismatch(message) from None
        except ChannelAccessRefused as error:
            message = f"queue '{queue}': this user may not look at it: {error}"
            raise AccessRefused(message) from None
        except _LOST as error:
            raise BrokerUnavailable(_lost(error)) from None

    async def _declare_queue_or_warn(self, queue: Queue) -> None:
        try:
            await self._step(f"queue '{queue.name}'", self._declare_queue, queue)
        except TopologyMismatch as mismatch:
            # A queue declared on 3.x has no limit to lift; after an upgrade to 4.x only this
            # argument differs, and a policy can set it.
            if not queue.unlimited or "x-delivery-limit" not in str(mismatch):
                raise
            get_logger().warning("delivery_limit_differs", queue=queue.name, detail=str(mismatch))

    async def _step(
        self, what: str, act: Callable[[AbstractChannel, T], Awaitable[object]], item: T
    ) -> None:
        channel = await self._open()
        try:
            await act(channel, item)
        except ChannelPreconditionFailed as error:
            raise TopologyMismatch(_difference(what, str(error))) from None
        except ChannelAccessRefused as error:
            message = f"{what}: this user may not declare it ({_reply(error)}); grant configure, "
            message += "or create it beforehand and set TIDINGS_TOPOLOGY=check"
            raise AccessRefused(message) from None
        except _LOST as error:
            # Also a 404: deleted meanwhile, or its queue is not up yet after the broker's start.
            raise BrokerUnavailable(f"{what}: {_lost(error)}") from None

    async def _exists(
        self,
        look: Callable[[AbstractChannel, T], Awaitable[object]],
        item: T,
        *,
        hidden: bool = True,
    ) -> bool:
        """Tell whether `item` is there; `hidden`: the answer where this user may not see it."""
        channel = await self._open()
        try:
            await look(channel, item)
        except ChannelNotFoundEntity as error:
            if "no queue" in _reply(error) or "no exchange" in _reply(error):
                return False
            raise BrokerUnavailable(_lost(error)) from None  # it exists, and is down
        except ChannelAccessRefused:
            # 4.3 refuses even to say whether a queue exists to a user without rights on it. What
            # we need counts as there: the first publish or consume tells.
            return hidden
        except _LOST as error:
            raise BrokerUnavailable(_lost(error)) from None
        return True

    async def _open(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            try:
                self._channel = await self._connection.channel(
                    publisher_confirms=False, timeout=RPC_SECONDS
                )
            except _LOST as error:
                raise BrokerUnavailable(_lost(error)) from None
        return self._channel

    async def _declare_exchange(self, channel: AbstractChannel, exchange: Exchange) -> None:
        await channel.exchange_declare(
            exchange.name,
            exchange_type=exchange.type,
            durable=True,
            arguments=dict(exchange.arguments),
            timeout=RPC_SECONDS,
        )

    async def _declare_queue(self, channel: AbstractChannel, queue: Queue) -> None:
        await channel.queue_declare(
            queue.name,
            durable=True,
            arguments=dict(queue.arguments_for(self._version)),
            timeout=RPC_SECONDS,
        )

    async def _bind(self, channel: AbstractChannel, binding: Binding) -> None:
        bind = channel.exchange_bind if binding.to_exchange else channel.queue_bind
        await bind(
            binding.queue,
            binding.exchange,
            routing_key=binding.key,
            arguments=dict(binding.arguments) or None,
            timeout=RPC_SECONDS,
        )

    async def _passive_exchange(self, channel: AbstractChannel, exchange: Exchange) -> None:
        await channel.exchange_declare(exchange.name, passive=True, timeout=RPC_SECONDS)

    async def _passive_queue(self, channel: AbstractChannel, queue: Queue) -> None:
        await channel.queue_declare(queue.name, passive=True, timeout=RPC_SECONDS)


_LOST = (AMQPError, OSError, TimeoutError, ChannelInvalidStateError, RuntimeError)


def _lost(error: BaseException) -> str:
    return f"the broker did not carry it out: {str(error) or type(error).__name__}"


def _reply(error: aiormq.AMQPError) -> str:
    return str(error.args[0]) if error.args else "refused"


def _difference(what: str, reply: str) -> str:
    """Say what is different. The broker names only the first difference."""
    found = _DIFFERENCE.search(reply)
    if found is None:
        return f"{what} exists with other arguments: {reply}; delete it once it is empty"
    name, wanted, current = found.groups()
    return (
        f"{what} exists with other arguments: {name} is {current}, Tidings needs {wanted} "
        "(the broker names only the first difference); drain and delete it, or choose another name"
    )
