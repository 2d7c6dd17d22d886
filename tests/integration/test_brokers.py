"""The brokers that the other tests stand on."""

import aiormq
import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused
from pamqp.commands import Basic
from pamqp.common import FieldTable

from support.broker import Broker, OwnBroker
from support.names import Names
from support.waiting import until

QUORUM: FieldTable = {"x-queue-type": "quorum"}
PERSISTENT = Basic.Properties(delivery_mode=2)


async def test_a_shared_broker_shows_what_happens_in_it(broker: Broker, names: Names) -> None:
    async def ack(message: DeliveredMessage) -> None:
        assert message.delivery_tag is not None
        await message.channel.basic_ack(message.delivery_tag)

    queue = names("orders")
    async with await aiormq.connect(broker.uri) as connection:
        channel = await connection.channel()
        await _publish(channel, queue, b"1")
        assert await broker.messages(queue) == 1
        assert await broker.queues() == {queue}

        await channel.basic_consume(queue, ack)
        await until(lambda: broker.consumers(queue), what="a consumer")
        await broker.close_all_connections()
        await until(lambda: connection.is_closed, what="the end of the connection")
    assert await broker.messages(queue) == 0
    await broker.delete_queue(queue)
    assert await broker.queues() == set()


async def test_a_user_can_be_given_few_rights(broker: Broker, names: Names) -> None:
    uri = await broker.create_user(configure="^$")
    async with await aiormq.connect(uri) as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.queue_declare(names("orders"))


async def test_a_policy_can_fill_a_queue(broker: Broker, names: Names) -> None:
    queue = names("orders")
    async with await aiormq.connect(broker.uri) as connection:
        await broker.set_policy("small", queue, max_length=1)
        await _publish(await connection.channel(), queue, b"1", b"2", b"3")
        await until(lambda: _is(broker, queue, 1), what="one message left of three")
        await broker.clear_policy("small")


@pytest.mark.serial
@pytest.mark.harms
async def test_an_own_broker_keeps_its_ports_and_data(own_broker: OwnBroker, names: Names) -> None:
    queue = names("orders")
    connection = await aiormq.connect(own_broker.uri)
    await _publish(await connection.channel(), queue, b"1")
    await own_broker.stop()
    await until(lambda: connection.is_closed, what="the end of the connection")
    with pytest.raises(ConnectionError):
        await aiormq.connect(own_broker.uri)
    await own_broker.start()
    assert await own_broker.messages(queue) == 1

    await own_broker.kill()
    await own_broker.start()
    assert await own_broker.messages(queue) == 1


async def _publish(channel: AbstractChannel, queue: str, *bodies: bytes) -> None:
    await channel.queue_declare(queue, durable=True, arguments=QUORUM)
    for body in bodies:
        await channel.basic_publish(body, routing_key=queue, properties=PERSISTENT)


async def _is(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
