"""What the lane relies on in aiormq and aio-pika: an upgrade that changes it must fail here.

aiormq reads from and writes to objects of ours; only its source says which of their methods it
calls. So these tests put a recorder between it and them, and live through a connection's life.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import aiormq
import pytest
from aiormq.exceptions import ChannelPreconditionFailed
from pamqp import commands
from yarl import URL

from common.broker import Connection
from common.broker.dial import _LaneConnection
from common.broker.fastlane.factory import LaneFactory
from common.broker.fastlane.wire import frame_head
from common.message import Confirmed, Delivery, Message, Publishing
from support.broker import Broker
from support.door import queue_topology
from support.proxy import proxied
from support.waiting import until

READER = {"at_eof", "readexactly"}
WRITER = {"write", "drain", "is_closing"}
"""While the connection lives."""
CLOSING = ["can_write_eof", "write_eof", "close", "wait_closed"]
"""At its end, in this order."""


class Recorder:
    """Passes everything on, and keeps which names were asked for and what was written."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.used: list[str] = []
        self.writes: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        self.used.append(name)
        return getattr(self._real, name)

    def write(self, data: bytes) -> None:
        """Keep it, and pass it on."""
        self.used.append("write")
        self.writes.append(data)
        self._real.write(data)


class RecordingFactory(LaneFactory):
    """Our own factory, with recorders around what it gives to aiormq."""

    def __init__(self) -> None:
        self.calls: list[tuple[URL, dict[str, Any]]] = []
        self.reader = self.writer = Recorder(None)

    async def create(
        self, url: URL, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open the socket; see LaneFactory."""
        self.calls.append((url, dict(options)))
        reader, writer = await super().create(url, **options)
        self.reader, self.writer = Recorder(reader), Recorder(writer)
        return cast("asyncio.StreamReader", self.reader), cast("asyncio.StreamWriter", self.writer)


async def opened(uri: str) -> tuple[Connection, RecordingFactory]:
    """Connect as the door does, with recorders."""
    factory = RecordingFactory()
    raw = _LaneConnection(URL(uri), factory)
    await raw.connect()
    assert factory.lane is not None, "aio-pika does not pass the transport factory on"
    return Connection(raw, factory.lane), factory


async def live(connection: Connection) -> None:
    """Do everything that the door does: declare, publish, consume, settle, cancel, close."""
    await connection.ensure(queue_topology("q"), "declare")
    await connection.ensure(queue_topology("q"), "check")
    assert await connection.publish(Publishing("q", "kept.a", Message(b"1"))) == Confirmed()
    assert await connection.depth("q") == 1
    taken: list[Delivery] = []
    subscription = await connection.subscribe("q", prefetch=1, on_delivery=taken.append)
    await until(lambda: taken)
    taken[0].ack()
    await subscription.cancel()
    await subscription.close()


def frames_of(write: bytes) -> Iterator[tuple[int, int]]:
    """Yield type and channel of each frame; the test fails if they are not whole."""
    at = 0
    while at < len(write):
        kind, channel, length = frame_head.unpack_from(write, at)
        at += 7 + length + 1
        assert at <= len(write), "a part of a frame"
        assert write[at - 1] == 0xCE
        yield kind, channel


async def test_aiormq_calls_the_reader_and_the_writer_as_we_expect(broker: Broker) -> None:
    connection, factory = await opened(broker.uri)
    await live(connection)
    used_while_alive = set(factory.writer.used)
    await connection.close()

    assert set(factory.reader.used) == READER
    assert used_while_alive == {"write", "drain"}
    assert set(factory.writer.used) == WRITER | set(CLOSING)
    assert [name for name in factory.writer.used if name not in WRITER] == CLOSING


async def test_each_write_of_aiormqs_is_one_or_more_whole_frames(broker: Broker) -> None:
    """Only so can frames of ours be written between them."""
    connection, factory = await opened(broker.uri)
    await live(connection)
    await connection.close()

    greeting, *writes = factory.writer.writes
    assert greeting == b"AMQP\x00\x00\x09\x01"
    kinds = {one for write in writes for one in frames_of(write)}
    assert {kind for kind, _ in kinds} <= {1, 8}  # methods, heartbeats: content is ours to send
    assert {channel for _, channel in kinds} >= {0, 1, 2, 3}


async def test_aiormq_reads_and_writes_nothing_more_when_the_peer_is_gone(broker: Broker) -> None:
    async with proxied(broker.uri) as proxy:
        connection, factory = await opened(proxy.uri)
        await live(connection)
        proxy.abort()
        await until(connection.closed.is_set)
        await connection.close()

    assert set(factory.reader.used) <= READER
    assert set(factory.writer.used) <= WRITER | set(CLOSING)


async def test_aiormq_aborts_a_peer_that_is_silent_too_long(broker: Broker) -> None:
    """It does so itself after (heartbeat + 1) * 3 s, here six; ours is quicker in the product."""
    async with proxied(broker.uri) as proxy:
        factory = RecordingFactory()
        raw = _LaneConnection(URL(proxy.uri).update_query(heartbeat=1), factory)
        await raw.connect()
        proxy.hold()
        await until(lambda: "transport" in factory.writer.used, within=20, what="an abort")
        assert factory.lane is not None
        await until(factory.lane.ended.done)
        await raw.close()


async def test_the_factory_is_called_with_the_address_and_a_provider_of_tls(broker: Broker) -> None:
    connection, factory = await opened(broker.uri)
    await connection.close()

    ((url, options),) = factory.calls
    assert (url.scheme, url.host, url.port) == (
        "amqp",
        URL(broker.uri).host,
        URL(broker.uri).port,
    )
    assert list(options) == ["ssl_context_provider"]
    assert await options["ssl_context_provider"].get_context()
    assert isinstance(factory, aiormq.TransportFactory)


async def test_a_connection_says_what_was_agreed_and_who_the_broker_is(broker: Broker) -> None:
    connection, _ = await opened(broker.uri)
    amqp = connection._amqp

    assert amqp.connection_tune.frame_max == 131072
    assert amqp.server_properties is not None
    assert "version" in amqp.server_properties
    assert not amqp.closing.done()
    await connection.close()
    assert amqp.closing.done()


async def test_a_channel_has_a_number_and_tells_of_its_end(broker: Broker) -> None:
    connection, _ = await opened(broker.uri)
    first = await connection._amqp.channel(publisher_confirms=False, timeout=10)
    second = await connection._amqp.channel(timeout=10)
    assert (first.number, second.number) == (1, 2)

    with pytest.raises(ChannelPreconditionFailed):
        await first.queue_declare("q", arguments={"x-queue-type": "nonsense"}, timeout=10)
    assert isinstance(first.closing.exception(), ChannelPreconditionFailed)
    assert first.is_closed
    assert not second.closing.done()
    third = await connection._amqp.channel(publisher_confirms=False, timeout=10)
    assert third.number in (1, 3)  # a number of its own, whether or not the first is free
    await second.close()
    assert second.closing.done()
    await connection.close()
    assert third.closing.done()


async def test_a_consumer_cancelled_by_the_broker_is_told_to_callbacks_of_the_channel(
    broker: Broker,
) -> None:
    connection, _ = await opened(broker.uri)
    await connection.ensure(queue_topology("q"), "declare")
    channel = await connection._amqp.channel(publisher_confirms=False, timeout=10)
    told: list[commands.Basic.Cancel] = []
    channel.on_consumer_cancel_callbacks.add(told.append)
    consuming = await channel.basic_consume("q", _never, timeout=10)

    await broker.delete_queue("q")

    await until(lambda: told)
    assert told[0].consumer_tag == consuming.consumer_tag
    assert not channel.closing.done()
    await connection.close()


async def _never(_: object) -> None:
    raise AssertionError
