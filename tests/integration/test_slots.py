"""Events of one key end in one partition, on every way they can take."""

import asyncio
from pathlib import Path

import pytest

from common.broker import connect
from common.envelope import republished
from common.group_topology import group_topology
from common.history import History
from common.homes import Home, home_of
from common.message import Confirmed, Publishing
from common.slot import SLOT, slot_of
from common.topology import UNROUTED, dead_name, tier_name
from ops.letters.shelf import dead_shelf
from producer.facade import Producer
from support.broker import Broker
from support.command import tidings
from support.names import Names
from support.producing import NOBODY, read
from support.services import broker_connection, consuming, drained
from tidings import Context, Event, Reject, Retry, handler

KEYS = [f"c-{number}" for number in range(7731, 7741)]


@pytest.fixture
async def home(broker: Broker, names: Names) -> Home:
    """Sixteen partitions for the events `order.*`."""
    made = home_of(names.group, "key", 16)
    await declared(broker.uri, made)
    return made


async def declared(uri: str, home: Home) -> None:
    topology = group_topology(home.group, ["order.*"], longest_delay=1, home=home)
    async with connect(uri, name="a home") as connection:
        await connection.ensure(topology, "declare")


def partition_of(home: Home, key: str) -> str:
    return home.partition(int(slot_of(key)) % home.partitions)


async def test_events_of_one_subject_end_in_one_partition_in_their_order(
    broker: Broker, home: Home
) -> None:
    async with Producer(broker.uri) as producer:
        for number in range(5):
            await asyncio.gather(
                *(producer.publish("order.created", number, subject=key) for key in KEYS)
            )
        await producer.publish("order.created", "of nobody")

    queues = {partition_of(home, key) for key in KEYS}
    assert len(queues) > 1
    for queue in queues:
        mine = [key for key in KEYS if partition_of(home, key) == queue]
        found = await read(broker.uri, queue, 5 * len(mine))
        for key in mine:
            assert [event.data for event in found if event.subject == key] == list(range(5))
    assert [one.data for one in await read(broker.uri, home.others, 1)] == ["of nobody"]
    assert [await broker.messages(queue) for queue in home.queue_names] == [0] * 17


async def test_a_key_leads_whatever_the_subject_is_also_delayed_and_by_hand(
    broker: Broker, home: Home
) -> None:
    async with Producer(broker.uri) as producer:
        await producer.publish("order.created", 1, key="c-7731", subject="another")
        await producer.publish("order.created", 2, key="c-7731", delay="200ms")
        await producer.publish_event(Event("order.paid", 3, extensions={"partitionkey": "c-7731"}))
    said = await tidings(broker.uri, "emit", "order.paid", "--data", "4", "--key", "c-7731")

    assert said.code == 0
    found = await read(broker.uri, partition_of(home, "c-7731"), 4)
    assert sorted(event.data for event in found) == [1, 2, 3, 4]


async def test_what_waited_on_disk_is_sent_with_its_slot(
    broker: Broker, home: Home, tmp_path: Path
) -> None:
    outbox = f"sqlite:///{tmp_path / 'outbox.db'}"
    async with Producer(NOBODY, outbox=outbox) as producer:
        for number in range(3):
            await producer.publish("order.created", number, subject="c-7731")

    async with Producer(broker.uri, outbox=outbox) as producer:
        await producer.publish("order.created", 3, subject="c-7731")

    found = await read(broker.uri, partition_of(home, "c-7731"), 4)
    assert [event.data for event in found] == [0, 1, 2, 3]


async def test_a_retry_and_a_replay_come_back_to_the_partition_of_the_original(
    broker: Broker, home: Home
) -> None:
    queue = partition_of(home, "c-7731")
    async with Producer(broker.uri) as producer:
        await producer.publish("order.created", 1, key="c-7731")
    (original,) = await drained(broker.uri, queue, 1)

    history = History.of(original).failed(1).copied()
    copy = republished(original.message, history.headers(), message_id="unused")
    tier = tier_name(home.group, 1)
    async with broker_connection(broker.uri) as connection:
        answer = await connection.publish(Publishing(tier, home.group, copy, expiration=0.1))
        assert answer == Confirmed()
    (retried,) = await drained(broker.uri, queue, 1)
    async with broker_connection(broker.uri) as connection:
        answer = await connection.publish(dead_shelf(home.group).again(retried, "unused"))
        assert answer == Confirmed()
    (replayed,) = await drained(broker.uri, queue, 1)

    assert History.of(retried).attempts == 1
    assert History.of(replayed).replays == 1
    assert original.message.body == replayed.message.body


async def test_the_copies_that_a_consumer_makes_have_the_slot(broker: Broker, names: Names) -> None:
    """Whatever the order of the group: it may have another one tomorrow."""

    @handler("order.created")
    async def twice(ctx: Context) -> None:
        if ctx.attempt == 1:
            raise Retry("once more", after=0.05)
        raise Reject("for good")

    async with consuming(broker.uri, names.group, twice), Producer(broker.uri) as producer:
        await producer.publish("order.created", 1, key="c-7731")
        (letter,) = await drained(broker.uri, dead_name(names.group), 1)

    assert letter.message.headers["tidings-attempt-times"]
    assert letter.message.headers[SLOT] == slot_of("c-7731")


async def test_an_unrouted_event_is_replayed_into_its_partition(
    broker: Broker, names: Names
) -> None:
    async with Producer(broker.uri) as producer:
        await producer.publish("order.created", 1, key="c-7731")
    assert await broker.messages(UNROUTED) == 1
    home = home_of(names.group, "key", 16)
    await declared(broker.uri, home)

    said = await tidings(broker.uri, "unrouted", "replay", "--all")

    assert said.code == 0
    assert len(await read(broker.uri, partition_of(home, "c-7731"), 1)) == 1
