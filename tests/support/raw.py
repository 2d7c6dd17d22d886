"""Publish messages whose properties are any bytes, as no client library would write them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import aiormq
from aiormq.abc import AbstractConnection, ChannelFrame
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp import commands

from support.wire import content_header, method, raw_frame

Send = Callable[..., Awaitable[bool]]
"""Called with a body and the flags and bytes of each property: whether the broker took it."""


@asynccontextmanager
async def raw_publishing(uri: str, exchange: str, routing_key: str) -> AsyncIterator[Send]:
    """Publish on a connection of one's own; each message is stored when `send` returns."""
    connection, channel = await _opened(uri)

    async def send(body: bytes, *properties: tuple[int, bytes]) -> bool:
        nonlocal connection, channel
        number = channel.number
        frames = (
            method(number, commands.Basic.Publish(exchange=exchange, routing_key=routing_key)),
            raw_frame(2, number, content_header(len(body), *properties)),
            raw_frame(3, number, body),
        )
        # What aiormq notes for a publish of its own. A round trip in place of the confirm would not
        # do: the error of the next message can overtake what the queue has not taken yet.
        channel.delivery_tag += 1
        confirm = channel.confirmations[channel.delivery_tag] = channel.create_future()
        await connection.write_queue.put(ChannelFrame(b"".join(frames), should_close=False))
        try:
            await asyncio.wait_for(confirm, 10)
        except (AMQPError, ChannelInvalidStateError, RuntimeError):
            await connection.close()
            connection, channel = await _opened(uri)
            return False
        return True

    try:
        yield send
    finally:
        await connection.close()


async def _opened(uri: str) -> tuple[AbstractConnection, aiormq.Channel]:
    connection = await aiormq.connect(uri, client_properties={"connection_name": "raw"})
    return connection, cast("aiormq.Channel", await connection.channel())
