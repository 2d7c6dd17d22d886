"""The outbox in memory: bounded, in order, and nobody waits for nothing."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from common.errors import BrokerUnavailable, OutboxFull
from common.message import Message, Publishing
from producer.outbox.entry import Entry
from producer.outbox.memory import MemoryOutbox

T = TypeVar("T")


def publishing(number: int = 0, *, size: int = 1) -> Publishing:
    return Publishing("events", f"t{number}", Message(b"x" * size))


async def filled(outbox: MemoryOutbox, count: int) -> list[Entry]:
    return [await outbox.append(publishing(number)) for number in range(count)]


async def started(coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start what has to wait, and let it come as far as it can."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


def soon(seconds: float = 0.01) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_entries_are_taken_in_the_order_of_acceptance_and_stay_until_confirmed() -> None:
    outbox = MemoryOutbox(10)
    await filled(outbox, 3)

    taken = await outbox.take(2) + await outbox.take(2)

    assert [entry.publishing.routing_key for entry in taken] == ["t0", "t1", "t2"]
    assert outbox.depth == 3


async def test_what_is_given_back_is_taken_before_all_that_is_younger_and_in_order() -> None:
    outbox = MemoryOutbox(10)
    entries = await filled(outbox, 5)
    taken = await outbox.take(4)

    for entry in (taken[2], taken[0], taken[3]):
        outbox.give_back(entry)

    assert await outbox.take(2) == [entries[0], entries[2]]
    assert await outbox.take(9) == [entries[3], entries[4]]


async def test_taking_waits_also_for_what_is_given_back() -> None:
    outbox = MemoryOutbox(10)
    await filled(outbox, 1)
    (entry,) = await outbox.take(1)
    taking = await started(outbox.take(1))
    assert not taking.done()

    outbox.give_back(entry)

    assert await taking == [entry]


async def test_what_is_withdrawn_or_confirmed_cannot_be_given_back() -> None:
    outbox = MemoryOutbox(10)
    await filled(outbox, 3)
    confirmed, withdrawn, last = await outbox.take(3)
    outbox.confirm(confirmed)
    outbox.give_back(last)
    outbox.withdraw(last)
    outbox.withdraw(withdrawn)

    outbox.give_back(confirmed)
    outbox.give_back(withdrawn)

    taking = await started(outbox.take(1))
    (fresh,) = await filled(outbox, 1)
    assert await taking == [fresh]


async def test_a_confirm_tells_whoever_brought_it_and_makes_room() -> None:
    outbox = MemoryOutbox(1)
    (entry,) = await filled(outbox, 1)

    outbox.confirm(entry)

    assert await entry.safe is None
    assert outbox.depth == 0


async def test_a_full_outbox_lets_the_caller_wait_and_serves_in_the_order_of_arrival() -> None:
    outbox = MemoryOutbox(2)
    first, second = await filled(outbox, 2)
    waiting = [await started(outbox.append(publishing(number))) for number in (2, 3)]
    assert not any(task.done() for task in waiting)

    outbox.confirm(second)
    assert (await waiting[0]).publishing.routing_key == "t2"
    assert not waiting[1].done()
    outbox.confirm(first)
    assert (await waiting[1]).publishing.routing_key == "t3"

    assert outbox.depth == 2


async def test_who_comes_later_does_not_overtake_who_waits() -> None:
    outbox = MemoryOutbox(1)
    (entry,) = await filled(outbox, 1)
    early = await started(outbox.append(publishing(1)))
    outbox.confirm(entry)

    late = await started(outbox.append(publishing(2)))

    accepted = [early.done(), late.done()]
    assert accepted.count(True) <= 1
    outbox.confirm(await early)
    await late


async def test_a_full_outbox_says_so_at_the_deadline() -> None:
    outbox = MemoryOutbox(1)
    await filled(outbox, 1)

    with pytest.raises(OutboxFull, match=r"1 events wait .* Publish it again later, or raise TIDI"):
        await outbox.append(publishing(), deadline=soon())

    assert outbox.depth == 1


async def test_who_gives_up_waiting_takes_nobodys_turn() -> None:
    outbox = MemoryOutbox(1)
    (entry,) = await filled(outbox, 1)
    impatient = await started(outbox.append(publishing(1)))
    patient = await started(outbox.append(publishing(2)))

    outbox.confirm(entry)  # the turn of the one who is cancelled before it can act on it
    impatient.cancel()

    assert (await patient).publishing.routing_key == "t2"
    assert outbox.depth == 1


async def test_bytes_are_bounded_as_well_as_events() -> None:
    outbox = MemoryOutbox(100, max_bytes=10)
    entry = await outbox.append(publishing(size=10))

    assert outbox.full
    waiting = [await started(outbox.append(publishing(size=4))) for _ in range(3)]
    outbox.confirm(entry)
    await asyncio.gather(*waiting)  # 12 bytes: the last one may exceed

    assert outbox.full


async def test_an_event_larger_than_the_outbox_still_passes_when_it_is_alone() -> None:
    outbox = MemoryOutbox(100, max_bytes=10)

    await outbox.append(publishing(size=1000))

    assert outbox.full


async def test_a_withdrawn_entry_is_not_taken() -> None:
    outbox = MemoryOutbox(10)
    entries = await filled(outbox, 3)

    outbox.withdraw(entries[0])
    outbox.withdraw(entries[0])

    assert await outbox.take(1) == [entries[1]]
    assert outbox.depth == 2


async def test_a_confirm_after_the_refusal_changes_nothing() -> None:
    outbox = MemoryOutbox(10)
    (entry,) = await filled(outbox, 1)
    problem = BrokerUnavailable("gone")

    outbox.refuse(entry, problem)
    outbox.confirm(entry)

    assert await entry.safe is problem


async def test_drained_waits_for_the_last_confirm() -> None:
    outbox = MemoryOutbox(10)
    await outbox.drained()
    entries = await filled(outbox, 2)
    drained = asyncio.ensure_future(outbox.drained())

    outbox.confirm(entries[0])
    await asyncio.sleep(0)
    assert not drained.done()
    outbox.withdraw(entries[1])

    await drained


async def test_closing_gives_the_error_to_all_who_wait_and_all_who_come() -> None:
    outbox = MemoryOutbox(1)
    (entry,) = await filled(outbox, 1)
    waiting = [await started(outbox.append(publishing())) for _ in range(3)]
    problem = BrokerUnavailable("closed")

    await outbox.close(problem)

    assert await entry.safe is problem
    for task in waiting:
        with pytest.raises(BrokerUnavailable):
            await task
    with pytest.raises(BrokerUnavailable):
        await outbox.append(publishing())


async def test_taking_waits_for_an_event() -> None:
    outbox = MemoryOutbox(10)
    taking = await started(outbox.take(1))
    assert not taking.done()

    entries = await filled(outbox, 1)

    assert await taking == entries


async def test_memory_stays_bounded_when_callers_give_up_for_hours() -> None:
    """Withdrawn entries that nobody takes, as the broker is away, must not pile up."""
    outbox = MemoryOutbox(10)
    for _ in range(1000):
        outbox.withdraw(await outbox.append(publishing(), deadline=soon(1)))

    assert outbox._unconfirmed.untaken == 0
    assert len(outbox._line) == 0


async def test_waiting_for_room_leaves_nothing_behind() -> None:
    outbox = MemoryOutbox(1)
    (entry,) = await filled(outbox, 1)
    for _ in range(3):
        with pytest.raises(OutboxFull):
            await outbox.append(publishing(), deadline=soon())
    waiting = await started(outbox.append(publishing(), deadline=soon(60)))
    outbox.confirm(entry)
    await waiting

    assert len(outbox._line) == 0
    assert len(outbox._line._deadlines._waiting) == 0
