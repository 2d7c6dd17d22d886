"""The intake without a broker: tasks of its own, which end with the service and can end it."""

import asyncio
from contextvars import ContextVar

import pytest

from common.message import Delivery, Message
from common.metrics import Metrics
from common.probes import Health
from consumer.intake import Intake, Lane
from support.waiting import until

SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")


class Channel:
    """Notes what its deliveries came to."""

    def __init__(self) -> None:
        self.settled: list[tuple[str, int]] = []

    def alive(self) -> bool:
        return True

    def ack(self, tag: int) -> bool:
        self.settled.append(("ack", tag))
        return True

    def nack(self, tag: int) -> bool:
        self.settled.append(("nack", tag))
        return True

    def reject(self, tag: int) -> bool:
        self.settled.append(("reject", tag))
        return True


def delivery(channel: Channel, tag: int) -> Delivery:
    return Delivery(Message(b"{}"), "events", "a", redelivered=False, tag=tag, channel=channel)


def intake(process: object, tasks: asyncio.TaskGroup, concurrency: int = 2) -> Intake:
    main = Lane("g", process, concurrency, lambda _: 10)  # type: ignore[arg-type] # a function of the test's
    alone = Lane("g.suspects", process, 1, lambda _: 1)  # type: ignore[arg-type] # as above
    return Intake(main, alone, tasks, Health(), Metrics())


async def test_no_more_than_the_concurrency_run_and_each_has_its_turn() -> None:
    channel, gate, running, most = Channel(), asyncio.Event(), 0, 0

    async def process(one: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        one.ack()

    async with asyncio.TaskGroup() as tasks:
        taken = intake(process, tasks, concurrency=3)
        for tag in range(10):
            taken._offer(delivery(channel, tag))
        await asyncio.sleep(0)
        gate.set()
        await until(lambda: len(channel.settled) == 10)
        await taken.drain(within=1)

    assert most == 3
    assert [tag for _, tag in channel.settled] == list(range(10))


async def test_an_event_sees_nothing_of_the_context_of_another() -> None:
    channel, found = Channel(), list[str]()

    async def process(one: Delivery) -> None:
        found.append(SEEN.get())
        SEEN.set(f"event {one.tag}")
        await asyncio.sleep(0)
        found.append(SEEN.get())
        one.ack()

    async with asyncio.TaskGroup() as tasks:
        taken = intake(process, tasks, concurrency=1)
        for tag in range(3):
            taken._offer(delivery(channel, tag))
        await until(lambda: len(channel.settled) == 3)
        await taken.drain(within=1)

    assert found == ["nothing", "event 0", "nothing", "event 1", "nothing", "event 2"]


async def test_an_error_of_one_ends_the_service_and_the_other_runs() -> None:
    channel, ended = Channel(), list[int]()

    async def process(one: Delivery) -> None:
        if one.tag == 1:
            await asyncio.sleep(0.01)
            raise LookupError("a right is missing")
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(one.tag)

    async def serve() -> None:
        async with asyncio.TaskGroup() as tasks:
            taken = intake(process, tasks)
            for tag in range(3):
                taken._offer(delivery(channel, tag))

    with pytest.raises(ExceptionGroup) as raised:
        await serve()

    assert [str(error) for error in raised.value.exceptions] == ["a right is missing"]
    assert ended == [0]


async def test_the_end_of_the_service_ends_what_runs_and_begins_nothing_more() -> None:
    channel, begun, ended = Channel(), list[int](), list[int]()

    async def process(one: Delivery) -> None:
        begun.append(one.tag)
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(one.tag)

    async def broken() -> None:
        await asyncio.sleep(0.01)
        raise LookupError

    async def serve() -> None:
        async with asyncio.TaskGroup() as tasks:
            taken = intake(process, tasks)
            for tag in range(3):
                taken._offer(delivery(channel, tag))
            tasks.create_task(broken())

    with pytest.raises(ExceptionGroup):
        await serve()

    assert (begun, sorted(ended)) == ([0, 1], [0, 1])


async def test_a_drain_lets_finish_what_runs_and_cancels_what_does_not() -> None:
    channel = Channel()

    async def process(one: Delivery) -> None:
        try:
            await asyncio.sleep(0.01 if one.tag == 0 else 10)
            one.ack()
        except asyncio.CancelledError:
            one.nack()
            raise

    async with asyncio.TaskGroup() as tasks:
        taken = intake(process, tasks)
        taken._offer(delivery(channel, 0))
        taken._offer(delivery(channel, 1))
        await asyncio.sleep(0)
        await taken.drain(within=0.1)

    assert channel.settled == [("ack", 0), ("nack", 1)]
