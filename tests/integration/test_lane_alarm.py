"""A broker that is out of memory blocks publishers, and nobody else."""

import asyncio

import pytest

from common.broker import connect
from common.message import Confirmed, Message, Publishing, Unknown
from support.alarms import memory_alarm
from support.broker import OwnBroker
from support.door import fill, queue_topology, take
from support.waiting import until


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("P7")
async def test_an_alarm_blocks_publishers_and_says_so_and_acks_go_on(own_broker: OwnBroker) -> None:
    publishing = Publishing("q", "kept.a", Message(b"x"))
    told: list[str] = []
    async with (
        connect(own_broker.uri, name="publishes") as publisher,
        connect(own_broker.uri, name="consumes") as consumer,
    ):
        await publisher.ensure(queue_topology("q"), "declare")
        publisher.when_blocked(told.append)
        await fill(publisher, 10)
        taken, subscription = await take(consumer, 5, prefetch=5)
        async with memory_alarm(own_broker):
            # The broker blocks a connection when it publishes, and not before.
            waiting = asyncio.create_task(publisher.publish(publishing, timeout=3))
            await until(lambda: publisher.blocked, what="it is blocked")
            blocked = (publisher.why_blocked, publisher.sendable, consumer.blocked)
            refused = await publisher.publish(publishing, timeout=0.3)
            assert all(one.ack() for one in taken)
            await until(lambda: len(taken) == 10, what="acks bring the next ones")
            in_flight = await waiting

            assert blocked == ("low on memory", False, False)
            assert isinstance(refused, Unknown)
            assert "low on memory" in refused.why
            assert isinstance(in_flight, Unknown)
            assert not publisher.closed.is_set()
        await asyncio.wait_for(publisher.until_sendable(), 30)
        assert (publisher.blocked, publisher.why_blocked) == (False, "")
        assert await publisher.publish(publishing) == Confirmed()
        assert told == ["low on memory", ""]
        assert all(one.ack() for one in taken[5:10])
        await subscription.close()
