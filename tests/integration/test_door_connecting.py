"""The door's contract, connecting: whatever carries the data behind it must pass these."""

import asyncio
from urllib.parse import urlsplit

import pytest

from common.address import assembled
from common.broker import Connection, connect
from common.errors import AccessRefused, BrokerUnavailable, TopologyMismatch
from common.message import Confirmed, Message, Publishing
from common.topology import EVENTS, UNROUTED, events_topology
from support.broker import Broker, OwnBroker
from support.door import fill, queue_topology
from support.waiting import until


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("C44")
async def test_a_silent_peer_is_given_up(own_broker: OwnBroker) -> None:
    """A frozen broker keeps its sockets open; only the missing heartbeats tell."""
    async with connect(own_broker.uri, name="door") as connection:
        await own_broker.pause()
        await until(connection.closed.is_set, within=25)
        await own_broker.unpause()

    assert "no sign of life" in connection.reason


@pytest.mark.fault("P10")
async def test_a_wrong_password_is_said_without_the_password(broker: Broker) -> None:
    user = await broker.create_user()
    uri = user.replace("@", "-s3ntinel@", 1)

    with pytest.raises(AccessRefused, match="refused the user or the password") as caught:
        async with connect(uri, name="door"):
            pass
    assert "s3ntinel" not in str(caught.value)


@pytest.mark.fault("P10")
async def test_a_virtual_host_that_is_not_there_is_named(broker: Broker) -> None:
    uri = broker.uri.replace(broker.vhost, "nowhere")

    with pytest.raises(AccessRefused, match="virtual host"):
        async with connect(uri, name="door"):
            pass


async def test_nobody_listening_can_be_tried_again(unused_tcp_port: int) -> None:
    with pytest.raises(BrokerUnavailable, match="not reachable"):
        async with connect(f"amqp://u:p@127.0.0.1:{unused_tcp_port}/", name="door"):
            pass


async def test_a_server_that_is_no_broker_does_not_hang_us(unused_tcp_port: int) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(chat, "127.0.0.1", unused_tcp_port):
        with pytest.raises(BrokerUnavailable):
            async with connect(f"amqp://u:p@127.0.0.1:{unused_tcp_port}/", name="door"):
                pass


async def test_declaring_twice_is_fine_and_checking_finds_it(connection: Connection) -> None:
    topology = events_topology()
    await connection.ensure(topology, "declare")
    await connection.ensure(topology, "declare")

    await connection.ensure(topology, "check")


async def test_checking_names_everything_that_is_missing(connection: Connection) -> None:
    with pytest.raises(TopologyMismatch) as caught:
        await connection.ensure(events_topology(), "check")

    for name in (f"exchange '{EVENTS}'", f"exchange '{UNROUTED}'", f"queue '{UNROUTED}'"):
        assert name in str(caught.value)


async def test_a_queue_with_other_arguments_is_named_with_the_difference(
    connection: Connection,
) -> None:
    with pytest.raises(TopologyMismatch, match=r"queue 'q'.*x-max-length"):
        await connection.ensure(queue_topology("q", ("x-max-length", 5)), "declare")
    assert await connection.publish(Publishing("q", "kept.a", Message(b""))) == Confirmed()


async def test_a_user_who_may_not_configure_is_told_what(broker: Broker) -> None:
    uri = await broker.create_user(configure="^$")
    async with connect(uri, name="weak") as weak:
        with pytest.raises(AccessRefused, match=f"exchange '{UNROUTED}'.*TIDINGS_TOPOLOGY=check"):
            await weak.ensure(events_topology(), "declare")


async def test_the_depth_of_a_queue_is_what_is_ready(connection: Connection) -> None:
    await fill(connection, 3)

    assert await connection.depth("q") == 3
    with pytest.raises(TopologyMismatch, match="nowhere"):
        await connection.depth("nowhere")


async def test_the_version_is_the_brokers(broker: Broker, connection: Connection) -> None:
    assert connection.version == broker.version


async def test_odd_names_and_passwords_work_in_a_uri_and_in_parts(odd_broker: Broker) -> None:
    password = "p@ss/w:rd %2F?#ü"
    encoded = await odd_broker.create_user(password=password)
    where = urlsplit(encoded)
    parts = assembled(
        host=where.hostname or "",
        port=where.port,
        user=where.username or "",
        password=password,
        vhost=odd_broker.vhost,
        tls=False,
    )

    for uri in (encoded, parts):
        async with connect(uri, name="door") as connection:
            await connection.ensure(queue_topology("q"), "declare")
    assert await odd_broker.queues() == {"q"}
