"""`TIDINGS_ORDER=fifo`: one after the other, through retries, stops, kills and cuts."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from common.deadletter import Reason
from common.topology import dead_name
from support.broker import Broker
from support.names import Names
from support.services import consuming, dead_letters, emit
from support.waiting import until
from tidings import Context, Event, Reject, RetryPolicy, handler

Runs = list[tuple[str, int]]
SOON = RetryPolicy.delays("50ms")


def recording(
    runs: Runs, fails: Callable[[str, int], bool] = lambda _, __: False
) -> Callable[..., object]:
    """Return a handler that notes what it gets, and whether two ran at once."""
    busy = False

    @handler("order.created", retry=SOON)
    async def charge(event: Event, ctx: Context) -> None:
        nonlocal busy
        assert not busy, "two at once"
        busy = True
        runs.append((event.id, ctx.attempt))
        await asyncio.sleep(0)
        busy = False
        if fails(event.id, ctx.attempt):
            raise ValueError("not yet")

    return charge


async def test_events_are_handled_one_after_the_other_in_the_order_of_the_queue(
    broker: Broker, names: Names
) -> None:
    runs: Runs = []
    async with consuming(broker.uri, names.group, recording(runs), order="fifo"):
        await emit(broker.uri, "order.created", *range(200))
        await until(lambda: len(runs) == 200)

    assert runs == [(f"e{number}", 1) for number in range(200)]


async def test_what_is_retried_is_overtaken_by_nothing(broker: Broker, names: Names) -> None:
    runs: Runs = []
    fails = lambda id_, attempt: id_ == "e3" and attempt < 3  # noqa: E731 - shorter than a def
    async with consuming(broker.uri, names.group, recording(runs, fails), order="fifo"):
        await emit(broker.uri, "order.created", *range(10))
        await until(lambda: len(runs) == 12)

    assert [id_ for id_, _ in runs] == ["e0", "e1", "e2", "e3", "e3", "e3", *_ids(4, 10)]
    assert [attempt for id_, attempt in runs if id_ == "e3"] == [1, 2, 3]


async def test_with_skip_the_others_go_on_meanwhile(broker: Broker, names: Names) -> None:
    runs: Runs = []
    fails = lambda id_, attempt: id_ == "e3" and attempt < 2  # noqa: E731 - shorter than a def
    given: dict[str, Any] = {"order": "fifo", "order_on_retry": "skip"}
    async with consuming(broker.uri, names.group, recording(runs, fails), **given):
        await emit(broker.uri, "order.created", *range(10))
        await until(lambda: len(runs) == 11)

    assert [id_ for id_, _ in runs] == [*_ids(0, 10), "e3"]


async def test_a_dead_letter_lets_the_line_go_on(broker: Broker, names: Names) -> None:
    runs: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        runs.append(event.id)
        if event.id == "e1":
            raise Reject("never")

    async with consuming(broker.uri, names.group, charge, order="fifo"):
        await emit(broker.uri, "order.created", 1, 2, 3)
        await until(lambda: len(runs) == 3)
        letters = await dead_letters(broker.uri, names.group, 1)

    assert [(one.id, one.reason) for one in letters] == [("e1", Reason.REJECTED)]


async def test_a_graceful_stop_hands_over_in_order(broker: Broker, names: Names) -> None:
    runs: Runs = []
    for _ in range(4):
        async with consuming(broker.uri, names.group, recording(runs), order="fifo"):
            if not runs:
                await emit(broker.uri, "order.created", *range(300))
            enough = min(300, len(runs) + 20)
            await until(lambda enough=enough: len(runs) >= enough)  # type: ignore[misc]
    async with consuming(broker.uri, names.group, recording(runs), order="fifo"):
        await until(lambda: len(runs) == 300)

    assert [id_ for id_, _ in runs] == _ids(0, 300)
    assert await broker.messages(dead_name(names.group)) == 0


async def test_a_standby_takes_over_where_the_other_stopped(broker: Broker, names: Names) -> None:
    first, second = Runs(), Runs()
    async with consuming(broker.uri, names.group, recording(second), order="fifo") as standby:
        assert standby.health.ready
        async with consuming(broker.uri, names.group, recording(first), order="fifo"):
            await emit(broker.uri, "order.created", *range(300))
            await until(lambda: len(first) + len(second) >= 50)
        await until(lambda: len(first) + len(second) == 300)

    assert sorted(int(id_[1:]) for id_, _ in (*first, *second)) == [*range(300)]
    for runs in (first, second):
        numbers = [int(id_[1:]) for id_, _ in runs]
        assert all(b == a + 1 for a, b in pairwise(numbers))


@pytest.mark.harms
async def test_after_cut_connections_nothing_is_overtaken(broker: Broker, names: Names) -> None:
    runs: Runs = []
    async with consuming(broker.uri, names.group, recording(runs), order="fifo"):
        await emit(broker.uri, "order.created", *range(3000))
        for part in range(1, 4):
            await until(lambda part=part: len(runs) >= part * 200)  # type: ignore[misc]
            await broker.close_all_connections()
        await until(lambda: len({id_ for id_, _ in runs}) == 3000, within=30)

    once = list(dict.fromkeys(id_ for id_, _ in runs))
    assert once == _ids(0, 3000)


def _ids(first: int, end: int) -> list[str]:
    return [f"e{number}" for number in range(first, end)]
