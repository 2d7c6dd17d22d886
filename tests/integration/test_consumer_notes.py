"""Notes of suspects that run in their places: how often a process ended in such a run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest

from common.broker import Connection, Supervisor
from common.errors import BrokerUnavailable
from common.homes import begun_name, home_of, home_topology
from common.message import Delivery, Message, Publishing
from consumer.in_place import identity_of
from consumer.notes import Notes
from consumer.suspicion import DEATHS_ALONE
from support.broker import Broker
from support.names import Names
from support.services import broker_connection
from support.waiting import until


class Link:
    """Stands for a supervisor of this connection."""

    def __init__(self, connection: Connection) -> None:
        self.open = connection

    @property
    def live(self) -> Connection | None:
        return None if self.open.closed.is_set() else self.open

    async def connection(self) -> Connection:
        return self.open


class Group:
    """The notes of one group, seen by as many processes as are asked for."""

    def __init__(self, broker: Broker, name: str, consuming: Link, publishing: Link) -> None:
        self._broker = broker
        self.queue = begun_name(name)
        self.name = name
        self.consuming = consuming
        self.publishing = publishing

    def process(self) -> Notes:
        link = cast("Supervisor", self.consuming)
        return Notes(self.name, link, cast("Supervisor", self.publishing))

    async def has(self, count: int) -> None:
        async def found() -> bool:
            return await self._broker.messages(self.queue) == count

        await until(found, what=f"{count} notes lie there")


@pytest.fixture
async def group(broker: Broker, names: Names) -> AsyncIterator[Group]:
    async with _group(broker, names.group) as found:
        yield found


@asynccontextmanager
async def _group(broker: Broker, name: str) -> AsyncIterator[Group]:
    async with AsyncExitStack() as stack:
        links = [
            Link(await stack.enter_async_context(broker_connection(broker.uri))) for _ in range(2)
        ]
        await links[0].open.ensure(home_topology(home_of(name, "fifo", 0)), "declare")
        yield Group(broker, name, *links)


async def test_each_process_that_ended_in_a_run_left_a_note_and_after_three_no_run_begins(
    group: Group,
) -> None:
    counted = []
    for _ in range(DEATHS_ALONE):
        counted.append(await group.process().begun("e1"))
        await group.has(1)
    counted.append(await group.process().begun("e1"))

    assert counted == [0, 1, 2, 3]
    await group.has(0)


async def test_after_the_third_it_counts_from_the_beginning(group: Group) -> None:
    for _ in range(DEATHS_ALONE + 1):
        await group.process().begun("e1")

    assert await group.process().begun("e1") == 0


async def test_a_note_of_the_same_process_is_no_death_and_those_before_it_still_count(
    group: Group,
) -> None:
    await group.process().begun("e1")
    survivor = group.process()

    assert [await survivor.begun("e1") for _ in range(5)] == [1] * 5
    await group.has(1)
    assert await group.process().begun("e1") == 2


async def test_a_run_that_ended_takes_its_own_note_away_and_no_other(group: Group) -> None:
    notes = group.process()
    for identity in ("e1", "e2", "e3"):
        await notes.begun(identity)

    await notes.ended("e2")

    await group.has(2)
    others = group.process()
    assert [await others.begun(one) for one in ("e1", "e2", "e3")] == [1, 0, 1]


async def test_where_no_note_is_nothing_is_taken_away(group: Group) -> None:
    await group.process().ended("e1")
    await group.process().begun("e2")
    await group.process().ended("e1")

    await group.has(1)


async def test_fifty_notes_are_told_apart(group: Group) -> None:
    identities = [f"e{number}" for number in range(50)]
    first, second = group.process(), group.process()
    for identity in identities:
        assert await first.begun(identity) == 0
    await group.has(50)

    for identity in identities[::5]:
        assert await second.begun(identity) == 1
    for identity in identities:
        await second.ended(identity)

    await group.has(0)


async def test_those_that_look_at_once_lose_no_note(group: Group) -> None:
    for number in range(20):
        await group.process().begun(f"e{number}")
    await group.has(20)
    lookers = [group.process() for _ in range(4)]

    await asyncio.gather(*(one.ended("another") for one in lookers for _ in range(3)))

    await group.has(20)
    last = group.process()
    assert [await last.begun(f"e{number}") for number in range(20)] == [1] * 20


async def test_those_that_begin_at_once_leave_a_note_each(group: Group) -> None:
    lookers = [group.process() for _ in range(8)]

    found = await asyncio.gather(*(one.begun(f"e{number}") for number, one in enumerate(lookers)))

    assert found == [0] * 8
    await group.has(8)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no header at all"),
        pytest.param({"tidings-begun": 5, "tidings-deaths-alone": 2}, id="an id that is no text"),
    ],
)
async def test_a_message_that_is_no_note_is_left_alone(
    group: Group, headers: dict[str, object]
) -> None:
    strange = Publishing(group.queue, "", Message(b"?", headers=headers))
    await group.publishing.open.publish(strange)

    assert await group.process().begun("e1") == 0
    await group.has(2)


@pytest.mark.parametrize("deaths", ["many", None, b"\xff", 1.5])
async def test_a_count_that_cannot_be_read_is_none(group: Group, deaths: object) -> None:
    headers = {"tidings-begun": "e1", "tidings-deaths-alone": deaths}
    await group.publishing.open.publish(Publishing(group.queue, "", Message(b"", headers=headers)))

    assert await group.process().begun("e1") == 1


@pytest.mark.parametrize("role", ["consuming", "publishing"])
async def test_without_a_connection_the_broker_is_unavailable_and_no_note_is_lost(
    group: Group, role: str
) -> None:
    await group.process().begun("e1")
    await group.has(1)
    await cast("Link", getattr(group, role)).open.drop("a cut")

    with pytest.raises(BrokerUnavailable):
        await group.process().begun("e1")

    await group.has(1)


async def test_a_connection_that_is_lost_during_the_look_is_an_error_and_no_note_is_lost(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    await group.process().begun("e1")
    await group.has(1)
    connection = group.consuming.open
    subscribe = connection.subscribe

    async def cut(*args: object, **given: object) -> object:
        await connection.drop("a cut")
        return await subscribe(*args, **given)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(connection, "subscribe", cut)

    with pytest.raises(BrokerUnavailable):
        await group.process().begun("e1")

    await group.has(1)


async def test_without_its_queue_the_broker_is_unavailable(broker: Broker, group: Group) -> None:
    await broker.delete_queue(group.queue)

    with pytest.raises(BrokerUnavailable, match="does not exist"):
        await group.process().begun("e1")


async def test_a_queue_that_goes_during_the_look_is_no_end_of_the_service(
    broker: Broker, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    await group.process().begun("e1")
    await group.has(1)
    subscribe = group.consuming.open.subscribe

    async def gone(*args: object, **given: object) -> object:
        await broker.delete_queue(group.queue)
        return await subscribe(*args, **given)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(group.consuming.open, "subscribe", gone)

    with pytest.raises(BrokerUnavailable):
        await group.process().begun("e1")


def test_an_event_is_named_by_its_id_and_its_bytes() -> None:
    def named(message_id: str | None, body: bytes) -> str:
        message = Message(body, message_id=message_id)
        return identity_of(
            Delivery(message, "e", "k", redelivered=True, tag=1, channel=None)  # type: ignore[arg-type] # not asked
        )

    assert named("e1", b"{}") == named("e1", b"{}")
    assert len({named("e1", b"{}"), named("e2", b"{}"), named("e1", b"[]"), named(None, b"")}) == 4
    assert named("\udcff", b"{}"), "an id that is not UTF-8 is no error"


async def test_replicas_that_look_at_once_lose_no_note_and_leave_none(
    broker: Broker, names: Names
) -> None:
    async with AsyncExitStack() as stack:
        groups = [await stack.enter_async_context(_group(broker, names.group)) for _ in range(3)]

        async def run_some(group: Group, name: str) -> list[int]:
            notes, counted = group.process(), list[int]()
            for number in range(8):
                counted.append(await notes.begun(f"{name}{number}"))
                await notes.ended(f"{name}{number}")
            return counted

        died = [await groups[0].process().begun("dies") for _ in range(2)]
        counted = await asyncio.gather(
            *(run_some(group, name) for group, name in zip(groups, "abc", strict=True))
        )
        assert await groups[1].process().begun("dies") == 2
        await groups[0].has(1)

    assert died == [0, 1]
    assert counted == [[0] * 8] * 3


async def test_a_note_that_could_not_be_taken_away_goes_with_the_next_look(
    broker: Broker, names: Names
) -> None:
    async with _group(broker, names.group) as group, _group(broker, names.group) as other:
        notes = group.process()
        await notes.begun("e1")
        await group.consuming.open.drop("lost")
        with pytest.raises(BrokerUnavailable):
            await notes.ended("e1")
        group.consuming.open = other.consuming.open
        await notes.begun("e2")
        await other.has(1)
        assert await other.process().begun("e1") == 0
