"""Order x fault: what holds without an order holds with each of them."""

import asyncio
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.deadletter import Reason
from common.envelope import to_message
from common.event import Event as Made
from common.homes import begun_name, home_of
from common.message import Message
from common.topology import dead_name
from consumer.main import Main
from producer.facade import Producer
from support.broker import Broker
from support.names import Names
from support.processes import sample_in, service
from support.services import consuming, dead_letters, emit, send
from support.shop import runs
from support.waiting import until
from tidings import Context, Event, Reject, RetryPolicy, handler

ORDERS = ("any", "fifo", "key", "priority", "lifo")
ORDERED = ("fifo", "key")
QUICK = RetryPolicy(attempts=2, first_delay=0.05, factor=1)
each_order = pytest.mark.parametrize("order", ORDERS)
each_ordered = pytest.mark.parametrize("order", ORDERED)


@each_order
async def test_what_cannot_be_handled_is_set_aside_with_its_reason_and_the_rest_is_handled(
    broker: Broker, names: Names, order: str
) -> None:
    handled: list[str] = []

    @handler("order.created", retry=QUICK)
    async def charge(event: Event) -> None:
        if event.data == "raise":
            raise ValueError("always")
        if event.data == "reject":
            raise Reject("never")
        handled.append(event.id)

    async with consuming(broker.uri, names.group, charge, order=order, partitions=2):
        await emit(broker.uri, "order.created", 1, "raise", 2, "reject", 3)
        await send(broker.uri, Message(b"{not json", message_id="bad"), type_="order.created")
        await emit(broker.uri, "order.created", 4, prefix="last")
        letters = await dead_letters(broker.uri, names.group, 3)
        await until(lambda: len(handled) == 4)

    assert {(one.id, one.reason) for one in letters} == {
        ("e1", Reason.ATTEMPTS_SPENT),
        ("e3", Reason.REJECTED),
        ("bad", Reason.MALFORMED),
    }
    assert set(handled) == {"e0", "e2", "e4", "last0"}


@each_order
async def test_a_copy_of_an_event_is_not_handled_again(
    broker: Broker, names: Names, order: str
) -> None:
    handled: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        handled.append(event.id)
        await asyncio.sleep(0.01)

    once = Made("order.created", 1, id="twice", source="test", subject="k")
    async with consuming(broker.uri, names.group, charge, order=order, partitions=2) as main:
        message = to_message(once.stamped(id="twice", source="test", time=datetime.now(UTC)))
        await send(broker.uri, message, message, message, type_="order.created")
        await emit(broker.uri, "order.created", 1, prefix="last")
        await until(lambda: _count(main, "duplicate") == 2 and "last0" in handled)

    assert sorted(handled) == ["last0", "twice"]


@each_order
async def test_sigterm_gives_back_what_runs_uncounted(
    broker: Broker, names: Names, shop: Path, order: str
) -> None:
    (shop / "hang").touch()
    where: dict[str, Any] = {
        "AMQP_URI": broker.uri, "GROUP": names.group, "DRAIN_TIMEOUT": "200ms", "ORDER": order,
        "PARTITIONS": 2,
    }  # fmt: skip
    async with service("consumer", "shop", folder=shop, **where) as first:
        await first.says("subscribed")
        await emit(broker.uri, "order.created", *range(20))
        await until(lambda: runs(shop))
        first.signal(signal.SIGTERM)
        assert await first.exit_code() == 0
    started = {identity for identity, _ in runs(shop)}
    (shop / "hang").unlink()
    async with service("consumer", "shop", folder=shop, name="second", **where):
        await until(lambda: len(runs(shop)) == 20 + len(started))

    assert {attempt for _, attempt in runs(shop)} == {"1"}
    assert await broker.messages(dead_name(names.group)) == 0


@each_ordered
async def test_a_dozen_changes_of_the_consumer_kill_nobody_and_leave_no_note(
    broker: Broker, names: Names, order: str
) -> None:
    """Each leaves all that is in hand unsettled, which the broker counts."""
    handled: list[str] = []
    gate, attempts = asyncio.Event(), set[int]()

    @handler("order.created")
    async def charge(event: Event, ctx: Context) -> None:
        await gate.wait()
        attempts.add(ctx.attempt)
        handled.append(event.id)

    given: dict[str, Any] = {"order": order, "partitions": 2, "drain_timeout": 0.05}
    async with consuming(broker.uri, names.group, charge, **given):
        await emit(broker.uri, "order.created", *range(20))
    for _ in range(12):
        async with consuming(broker.uri, names.group, charge, **given) as main:
            await until(lambda main=main: _in_hand(main) == 20)  # type: ignore[misc]
    async with consuming(broker.uri, names.group, charge, **given):
        gate.set()
        await until(lambda: len(handled) == 20, within=30)
        await until(lambda: _empty(broker, begun_name(names.group)))

    assert attempts == {1}
    assert order == "key" or handled == [f"e{number}" for number in range(20)]
    assert await broker.messages(dead_name(names.group)) == 0


KILLING = """
import os
from tidings import Event, handler

@handler("order.created")
async def charge(event: Event) -> None:
    if event.data == "poison":
        os.abort()
    with open("handled", "a") as log:
        log.write(f"{event.id}\\n")
"""


@pytest.mark.timeout(180)
@each_ordered
@pytest.mark.fault("C20")
async def test_an_event_that_kills_its_process_is_set_aside_where_it_stands(
    broker: Broker, names: Names, tmp_path: Path, order: str
) -> None:
    (tmp_path / "shop.py").write_text(KILLING)
    where: dict[str, Any] = {
        "AMQP_URI": broker.uri,
        "GROUP": names.group,
        "ORDER": order,
        "PARTITIONS": 1,
    }

    async def restarted() -> None:
        for number in range(100):
            async with service(
                "consumer", "shop", folder=tmp_path, name=f"c{number}", **where
            ) as one:
                await one.exit_code(within=120)

    async with consuming(broker.uri, names.group, _nothing(), order=order, partitions=1):
        pass
    async with Producer(broker.uri) as producer:
        for number in range(10):
            data = "poison" if number == 4 else number
            await producer.publish("order.created", data, id=f"e{number}", key="k")
    running = asyncio.create_task(restarted())
    try:
        (letter,) = await dead_letters(broker.uri, names.group, 1, within=120)
        await until(lambda: len(_lines(tmp_path)) == 9, within=30)
        await until(lambda: _empty(broker, begun_name(names.group)), what="no note is left")
    finally:
        running.cancel()
        await asyncio.wait((running,))

    assert (letter.reason, letter.id) == (Reason.CRASHED, "e4")
    assert _lines(tmp_path) == [f"e{number}" for number in range(10) if number != 4]


@each_ordered
async def test_what_is_held_for_long_is_taken_anew_before_the_broker_gives_it_away(
    broker: Broker, names: Names, order: str
) -> None:
    runs: list[tuple[str, int]] = []
    mended = asyncio.Event()

    @handler("order.created", timeout="100ms", retry=RetryPolicy.delays("300ms", attempts=1000))
    async def charge(event: Event, ctx: Context) -> None:
        runs.append((event.id, ctx.attempt))
        if event.id == "e1" and not mended.is_set():
            raise ValueError("not yet")

    given: dict[str, Any] = {
        "order": order,
        "partitions": 1,
        "consumer_timeout": 3.0,
        "drain_timeout": 1.0,
    }
    async with (
        consuming(broker.uri, names.group, charge, **given) as main,
        Producer(broker.uri) as producer,
    ):
        for number in range(5):
            await producer.publish("order.created", number, id=f"e{number}", key="k")
        await until(lambda: _reconnects(main) >= 2, within=20, what="taken anew twice")
        mended.set()
        await until(lambda: len({identity for identity, _ in runs}) == 5)

    tried = [attempt for identity, attempt in runs if identity == "e1"]
    assert tried == list(range(1, len(tried) + 1)), "attempts are counted on"
    assert [i for i, _ in runs if i != "e1"] == ["e0", "e2", "e3", "e4"]


@each_ordered
@pytest.mark.fault("C26")
async def test_a_deleted_queue_is_noticed_and_made_anew(
    broker: Broker, names: Names, order: str
) -> None:
    handled: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        handled.append(event.id)

    home = home_of(names.group, "key" if order == "key" else "fifo", 2)
    given: dict[str, Any] = {"order": order, "partitions": 2}
    async with (
        consuming(broker.uri, names.group, charge, **given) as main,
        Producer(broker.uri) as producer,
    ):
        await producer.publish("order.created", 1, id="before", key="k")
        await until(lambda: handled == ["before"])
        for queue in home.queue_names[:1]:
            await broker.delete_queue(queue)
        await until(lambda: _reconnects(main) >= 1 and main.health.ready, within=15)
        for number in range(10):
            await producer.publish("order.created", number, id=f"e{number}", key=f"k{number}")
        await until(lambda: len(handled) == 11)

    assert sorted(handled) == sorted(["before", *(f"e{number}" for number in range(10))])


async def test_a_consumer_of_another_order_is_refused_while_the_group_lives(
    broker: Broker, names: Names, shop: Path
) -> None:
    async with consuming(broker.uri, names.group, _nothing()):
        pass
    where = {"AMQP_URI": broker.uri, "GROUP": names.group, "ORDER": "fifo"}
    async with service("consumer", "shop", folder=shop, **where) as one:
        assert await one.exit_code() == 78
        assert "tidings topology migrate" in one.output
        assert "Traceback" not in one.output
    assert home_of(names.group, "fifo", 0).entrance not in await broker.queues()


def _nothing() -> Callable[..., object]:
    @handler("order.created")
    async def charge() -> None: ...

    return charge


def _lines(folder: Path) -> list[str]:
    log = folder / "handled"
    return log.read_text().split() if log.exists() else []


async def _empty(broker: Broker, queue: str) -> bool:
    return await broker.messages(queue) == 0


def _count(main: Main, outcome: str) -> float:
    text = main.metrics.render()[0].decode()
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("tidings_consumed_total") and f'outcome="{outcome}"' in line
    )


def _in_hand(main: Main) -> float:
    return next(iter(main.metrics.in_hand.labels().samples()))[2]


def _reconnects(main: Main) -> float:
    text = main.metrics.render()[0].decode()
    return sample_in(text, 'tidings_reconnects_total{role="consume"}')
