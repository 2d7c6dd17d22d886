"""Publish messages whose properties are any bytes, as no client library would write them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiormq
from aiormq.abc import ChannelFrame
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp import commands

from support.wire import content_header, method, raw_frame

Send = Callable[..., Awaitable[bool]]
"""Called with a body and the flags and bytes of each property: whether the broker took it."""


@asynccontextmanager
async def raw_publishing(uri: str, exchange: str, routing_key: str) -> AsyncIterator[Send]:
    """Publish on a connection of one's own; each message has arrived when `send` returns."""
    connection = await aiormq.connect(uri, client_properties={"connection_name": "raw"})
    channel = await connection.channel(publisher_confirms=False)

    async def send(body: bytes, *properties: tuple[int, bytes]) -> bool:
        nonlocal connection, channel
        number = channel.number
        frames = (
            method(number, commands.Basic.Publish(exchange=exchange, routing_key=routing_key)),
            raw_frame(2, number, content_header(len(body), *properties)),
            raw_frame(3, number, body),
        )
        await connection.write_queue.put(ChannelFrame(b"".join(frames), should_close=False))
        try:
            await channel.basic_qos(prefetch_count=1, timeout=10)  # a round trip
        except (AMQPError, ChannelInvalidStateError, RuntimeError):
            await connection.close()
            connection = await aiormq.connect(uri)
            channel = await connection.channel(publisher_confirms=False)
            return False
        return True

    try:
        yield send
    finally:
        await connection.close()
