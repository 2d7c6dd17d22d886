"""The consumer killed, stopped, and one of several."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from common.event import Event
from common.group_topology import group_topology
from common.message import Delivery, Message, Publishing
from common.metrics import Metrics
from common.probes import Health
from common.topology import dead_name, suspects_name
from consumer.intake import Intake, Lane
from support.broker import Broker
from support.names import Names
from support.processes import service
from support.services import broker_connection, consuming, drained, emit
from support.shop import runs
from support.waiting import until
from tidings import handler


@pytest.mark.fault("C19")
async def test_an_event_in_the_hands_of_a_killed_consumer_is_handled_by_another(
    broker: Broker, names: Names, shop: Path
) -> None:
    (shop / "hang").touch()
    where = {"AMQP_URI": broker.uri, "GROUP": names.group}
    async with service("consumer", "shop", folder=shop, **where) as first:
        await first.says("subscribed")
        await emit(broker.uri, "order.created", 1)
        await until(lambda: runs(shop) == [["e0", "1"]])
        (shop / "hang").unlink()
        first.kill()
        async with service("consumer", "shop", folder=shop, name="second", **where):
            await until(lambda: runs(shop) == [["e0", "1"], ["e0", "1"]])
            await until(lambda: _is_empty(broker, names.group))


async def _is_empty(broker: Broker, queue: str) -> bool:
    return await broker.messages(queue) == 0


@pytest.mark.fault("C29", "C30")
async def test_sigterm_with_fifty_in_flight_gives_them_back_uncounted(
    broker: Broker, names: Names, shop: Path
) -> None:
    (shop / "hang").touch()
    where = {"AMQP_URI": broker.uri, "GROUP": names.group, "DRAIN_TIMEOUT": "200ms"}
    async with service("consumer", "shop", folder=shop, **where) as first:
        await first.says("subscribed")
        await emit(broker.uri, "order.created", *range(50))
        await until(lambda: len(runs(shop)) == 50)

        first.signal(signal.SIGTERM)

        assert await first.exit_code() == 0
        assert '"handed_back":50' in first.output
    await until(lambda: _holds(broker, names.group, 50), what="all of them back in the queue")
    (shop / "hang").unlink()
    async with service("consumer", "shop", folder=shop, name="second", **where):
        await until(lambda: len(runs(shop)) == 100)

    assert {attempt for _, attempt in runs(shop)} == {"1"}
    assert await broker.messages(dead_name(names.group)) == 0


@pytest.mark.fault("C29")
async def test_sigterm_lets_running_handlers_finish(broker: Broker, names: Names) -> None:
    started, release, finished = asyncio.Event(), asyncio.Event(), list[str]()

    @handler("order.created")
    async def charge(event: Event) -> None:
        started.set()
        await release.wait()
        finished.append(event.id)

    async with consuming(broker.uri, names.group, charge, concurrency=1) as main:
        await emit(broker.uri, "order.created", 1, 2)
        await started.wait()
        asyncio.get_running_loop().call_later(0.1, release.set)
    # leaving the block stops the consumer as SIGTERM does

    assert finished == ["e0"]
    await until(lambda: _holds(broker, names.group, 1), what="what had not started back")
    assert "drain" in " ".join(main.health.reasons)


@pytest.mark.fault("C30")
async def test_a_second_signal_ends_the_process_at_once(
    broker: Broker, names: Names, shop: Path
) -> None:
    (shop / "hang").touch()
    where = {"AMQP_URI": broker.uri, "GROUP": names.group}
    async with service("consumer", "shop", folder=shop, **where) as running:
        await running.says("subscribed")
        await emit(broker.uri, "order.created", 1)
        await until(lambda: runs(shop))
        running.signal(signal.SIGTERM)
        await running.says("draining")
        running.signal(signal.SIGINT)

        assert await running.exit_code(within=3) == 130


async def test_two_consumers_share_the_load(broker: Broker, names: Names) -> None:
    hands: list[Counter[str]] = [Counter(), Counter()]
    both_busy = asyncio.Event()

    def counting(mine: Counter[str]) -> Callable[..., object]:
        @handler("order.created")
        async def charge(event: Event) -> None:
            mine[event.id] += 1
            if all(hands):
                both_busy.set()
            await both_busy.wait()

        return charge

    one, two = counting(hands[0]), counting(hands[1])
    async with (
        consuming(broker.uri, names.group, one, concurrency=4),
        consuming(broker.uri, names.group, two, concurrency=4),
    ):
        await emit(broker.uri, "order.created", *range(200))
        await until(lambda: sum(hands[0].values()) + sum(hands[1].values()) == 200)

    assert all(hands)
    assert set((hands[0] + hands[1]).values()) == {1}


@pytest.mark.fault("C29")
async def test_a_stop_while_it_subscribes_hands_back_each_event_once(
    broker: Broker, names: Names
) -> None:
    """Handing back while deliveries go on would make them come again at once, and be counted."""
    group = names.group
    handled: list[Delivery] = []

    async def process(delivery: Delivery) -> None:
        handled.append(delivery)

    async with broker_connection(broker.uri) as connection:
        await connection.ensure(group_topology(group, ["a"], longest_delay=1), "declare")
        for number in range(4):
            await connection.publish(Publishing("events", "a", Message(b"%d" % number)))
        async with asyncio.TaskGroup() as tasks:
            lanes = (
                Lane(group, process, 4, lambda _: 10),
                Lane(suspects_name(group), process, 1, lambda _: 1),
            )
            intake = Intake(*lanes, tasks, Health(), Metrics())
            session = tasks.create_task(intake.session(connection))
            await asyncio.sleep(0)
            await intake.drain(within=1)
            await until(lambda: _holds(broker, group, 4 - len(handled)))
            session.cancel()

    for delivery in await drained(broker.uri, group, 4 - len(handled)):
        count = delivery.message.headers.get("x-delivery-count", 0)
        assert isinstance(count, int)
        assert count <= 1


async def _holds(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
