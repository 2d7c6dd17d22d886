"""`TIDINGS_ORDER=key`: those of one key in order, the keys in parallel, spread over replicas."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from common.deadletter import Reason
from common.envelope import to_message
from common.event import Event as Made
from common.message import Publishing
from common.slot import SLOT, slot_of
from common.topology import EVENTS, dead_name
from consumer.main import Main
from support.broker import Broker
from support.names import Names
from support.services import broker_connection, consuming, dead_letters
from support.waiting import until
from tidings import Context, Event, Reject, RetryPolicy, handler

KEYS = tuple(f"customer-{number}" for number in range(20))
SOON = RetryPolicy.delays("50ms", attempts=1000)


class Journal:
    """What ran, by key; `together` is the most that ran at once."""

    def __init__(self) -> None:
        self.runs: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.busy: set[str] = set()
        self.together = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def count(self) -> int:
        return sum(len({number for number, _ in runs}) for runs in self.runs.values())

    def handler(
        self, fails: Callable[[str, int, int], bool] = lambda *_: False
    ) -> Callable[..., object]:
        @handler("order.created", retry=SOON)
        async def charge(event: Event, ctx: Context) -> None:
            key, number = str(event.subject), int(str(event.data))
            assert key not in self.busy, f"two of {key} at once"
            self.busy.add(key)
            self.together = max(self.together, len(self.busy))
            self.runs[key].append((number, ctx.attempt))
            try:
                await asyncio.sleep(0)
                await self.gate.wait()
                if fails(key, number, ctx.attempt):
                    raise ValueError("not yet")
            finally:
                self.busy.discard(key)

        return charge

    def numbers(self, key: str) -> list[int]:
        return list(dict.fromkeys(number for number, _ in self.runs[key]))


async def publish(uri: str, *numbers: int, keys: tuple[str, ...] = KEYS) -> None:
    """Publish these numbers for each key."""
    async with broker_connection(uri) as connection:
        for number in numbers:
            for key in keys:
                event = Made(
                    "order.created", number, id=f"{key}/{number}", source="test", subject=key,
                    time=datetime.now(UTC),
                )  # fmt: skip
                message = to_message(event, headers={SLOT: slot_of(key)} if key else None)
                await connection.publish(Publishing(EVENTS, "order.created", message))


async def test_each_key_is_in_order_and_the_keys_run_in_parallel(
    broker: Broker, names: Names
) -> None:
    journal = Journal()
    journal.gate.clear()
    async with consuming(broker.uri, names.group, journal.handler(), order="key", partitions=4):
        await publish(broker.uri, *range(20))
        await until(lambda: len(journal.busy) == len(KEYS), what="one of each key runs")
        journal.gate.set()
        await until(lambda: journal.count == 400)

    assert all(journal.numbers(key) == [*range(20)] for key in KEYS)
    assert journal.together == len(KEYS)


async def test_what_waits_for_its_retry_holds_only_its_own_key(
    broker: Broker, names: Names
) -> None:
    journal, mended = Journal(), asyncio.Event()

    def fails(key: str, number: int, _: int) -> bool:
        return key == KEYS[0] and number == 1 and not mended.is_set()

    given: dict[str, Any] = {"order": "key", "partitions": 4}
    async with consuming(broker.uri, names.group, journal.handler(fails), **given):
        await publish(broker.uri, *range(5))
        await until(lambda: journal.count == 19 * 5 + 2, what="all but the rest of one key")
        assert journal.numbers(KEYS[0]) == [0, 1]
        mended.set()
        await until(lambda: journal.count == 100)

    assert all(journal.numbers(key) == [*range(5)] for key in KEYS)
    assert journal.runs[KEYS[0]][-1] == (4, 1)


async def test_events_without_a_slot_go_by_their_key_too_and_those_without_a_key_freely(
    broker: Broker, names: Names
) -> None:
    started: list[str] = []
    gate = asyncio.Event()

    @handler("order.created")
    async def charge(event: Event) -> None:
        started.append(event.id)
        await gate.wait()

    async with consuming(broker.uri, names.group, charge, order="key", partitions=2):
        async with broker_connection(broker.uri) as connection:
            for number, subject in enumerate(["a", "a", None, None, "b"]):
                event = Made("order.created", 1, id=f"e{number}", source="test", subject=subject)
                message = to_message(event.stamped(id=event.id, source="test", time=NOW))
                await connection.publish(Publishing(EVENTS, "order.created", message))
        await until(lambda: len(started) == 4, what="all but the second of a key")
        gate.set()
        await until(lambda: len(started) == 5)

    assert sorted(started[:4]) == ["e0", "e2", "e3", "e4"]


async def test_a_dead_letter_of_a_key_lets_the_others_of_it_go_on(
    broker: Broker, names: Names
) -> None:
    runs: list[int] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        runs.append(int(str(event.data)))
        if event.data == 1:
            raise Reject("never")

    async with consuming(broker.uri, names.group, charge, order="key", partitions=2):
        await publish(broker.uri, 0, 1, 2, keys=("k",))
        await until(lambda: len(runs) == 3)
        letters = await dead_letters(broker.uri, names.group, 1)

    assert (runs, letters[0].reason) == ([0, 1, 2], Reason.REJECTED)


async def test_replicas_share_the_partitions_as_they_come_and_go(
    broker: Broker, names: Names
) -> None:
    journal = Journal()
    given: dict[str, Any] = {"order": "key", "partitions": 8}
    async with AsyncExitStack() as stack:
        mains = [
            await stack.enter_async_context(
                consuming(broker.uri, names.group, journal.handler(), **given)
            )
        ]
        await until(lambda: held(mains) == [8])
        await publish(broker.uri, *range(10))
        for replica in (1, 2):
            other = consuming(broker.uri, names.group, journal.handler(), **given)
            mains.append(await stack.enter_async_context(other))
            await publish(broker.uri, *range(replica * 10, replica * 10 + 10))
        await until(lambda: max(held(mains)) <= 3 and sum(held(mains)) >= 8, within=30)
        await until(lambda: journal.count == 600, within=30)
    assert all(journal.numbers(key) == [*range(30)] for key in KEYS)
    assert await broker.messages(dead_name(names.group)) == 0


async def test_replicas_that_start_together_take_each_partition_once(
    broker: Broker, names: Names
) -> None:
    journal = Journal()
    given: dict[str, Any] = {"order": "key", "partitions": 16}
    async with AsyncExitStack() as stack:
        mains = []
        for _ in range(3):
            other = consuming(broker.uri, names.group, journal.handler(), ready=False, **given)
            mains.append(await stack.enter_async_context(other))
        await until(lambda: sorted(held(mains)) == [4, 6, 6], within=30)
        await publish(broker.uri, *range(5))
        await until(lambda: journal.count == 100)
        assert sum(held(mains)) == 16
    assert all(journal.numbers(key) == [*range(5)] for key in KEYS)


@pytest.mark.harms
async def test_after_cut_connections_no_key_is_out_of_order(broker: Broker, names: Names) -> None:
    journal = Journal()
    given: dict[str, Any] = {"order": "key", "partitions": 4}
    async with (
        consuming(broker.uri, names.group, journal.handler(), **given),
        consuming(broker.uri, names.group, journal.handler(), **given),
    ):
        await publish(broker.uri, *range(100))
        for part in range(1, 4):
            await until(lambda part=part: journal.count >= part * 300, within=30)  # type: ignore[misc]
            await broker.close_all_connections(at_least=4)
        await until(lambda: journal.count == 2000, within=60)

    assert all(journal.numbers(key) == [*range(100)] for key in KEYS)


NOW = datetime.now(UTC)


def held(mains: list[Main]) -> list[int]:
    return [int(next(iter(main.metrics.partitions.labels().samples()))[2]) for main in mains]
