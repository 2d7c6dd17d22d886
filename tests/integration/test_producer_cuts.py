"""A producer whose connection is cut, or that has none: nothing is lost, and copies are equal."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from common.errors import ConfirmUnknown, OutboxFull
from common.topology import UNROUTED
from producer.facade import Producer
from producer.outbox import home
from producer.outbox.sqlite import SqliteOutbox
from producer.source import build_sources, declarations_of
from support.broker import Broker
from support.copies import arrived_in, copies_in
from support.crashes import waiting
from support.names import Names
from support.producing import CONFIRMED, bind, ids_in, producing, value
from support.proxy import proxied
from support.services import consuming
from support.shelves import make_group
from support.waiting import until
from tidings import Event, Tick, handler, source

QUOTA = 1024 * 1024
IN_FLIGHT = 500


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'outbox.db'}"


@pytest.mark.fault("P3")
@pytest.mark.parametrize("size", [10_000, 60_000])
async def test_a_connection_cut_in_the_midst_of_publishing_costs_one_copy_more_at_most(
    broker: Broker, size: int
) -> None:
    """Given 500 events under way, and a cut after so many bytes to the broker."""
    await bind(broker.uri, "numbers", "number")
    async with proxied(broker.uri) as proxy, Producer(proxy.uri) as producer:
        await producer.publish("number", 0, id="e0")
        proxy.cut_after(size)

        await asyncio.gather(
            *(producer.publish("number", n, id=f"e{n}") for n in range(1, IN_FLIGHT))
        )

    copies = await copies_in(broker, "numbers")
    assert set(copies) == {f"e{number}" for number in range(IN_FLIGHT)}
    assert max(copies.values()) <= 2


@pytest.mark.fault("P4")
async def test_an_event_whose_confirm_is_lost_comes_twice_with_one_id_and_is_handled_once(
    broker: Broker, names: Names
) -> None:
    handled: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        handled.append(event.id)

    await make_group(broker.uri, names.group, "order.created")
    await bind(broker.uri, "observer", "order.created")
    async with proxied(broker.uri) as proxy, Producer(proxy.uri) as producer:
        await producer.publish("order.created", 0, id="e0")
        proxy.hold()
        publish = asyncio.create_task(producer.publish("order.created", 1, id="e1"))
        await until(lambda: _has(broker, "observer", 2), what="the broker has it")
        proxy.abort()
        await publish

    assert await copies_in(broker, "observer") == {"e0": 1, "e1": 2}
    async with consuming(broker.uri, names.group, charge):
        await until(lambda: _is_empty(broker, names.group), what="all are taken")
    assert sorted(handled) == ["e0", "e1"]


@pytest.mark.fault("P18", "P1")
async def test_without_a_broker_publish_returns_when_the_disk_has_the_event(
    broker: Broker, tmp_path: Path
) -> None:
    """Gone after the start, then gone at the start; what waits is sent first, and in order."""
    await bind(broker.uri, "numbers", "number")
    async with proxied(broker.uri) as proxy:
        async with Producer(proxy.uri, outbox=sqlite(tmp_path)) as producer:
            await producer.publish("number", 0, id="e0")
            proxy.down()
            for number in range(1, 50):
                await producer.publish("number", number, id=f"e{number}", timeout=5)
        async with Producer(proxy.uri, outbox=sqlite(tmp_path)) as producer:
            for number in range(50, 100):
                await producer.publish("number", number, id=f"e{number}", timeout=5)
            proxy.up()
            await until(lambda: _has(broker, "numbers", 100), what="all arrive")

    assert list(await copies_in(broker, "numbers")) == [f"e{number}" for number in range(100)]


@pytest.mark.fault("P5")
async def test_what_a_full_queue_refuses_is_counted_and_kept_and_stored_when_there_is_room(
    broker: Broker, tmp_path: Path
) -> None:
    await bind(broker.uri, "full", "fast", ("x-max-length", 1), ("x-overflow", "reject-publish"))

    async with producing(broker.uri, outbox=sqlite(tmp_path)) as main:
        refused = 'tidings_published_total{outcome="nacked",type="fast"}'
        await until(lambda: value(main, refused) >= 5, what="5 are refused")
        assert value(main, "tidings_outbox_depth")
    kept = set(waiting(tmp_path))
    stored = set(await arrived_in(broker, "full"))
    async with Producer(broker.uri, outbox=sqlite(tmp_path)):
        later = await ids_in(broker.uri, "full", len(kept))

    assert len(stored) == value(main, CONFIRMED)
    assert kept
    assert later == kept


@pytest.mark.fault("P6")
async def test_an_event_that_no_queue_takes_waits_on_disk_until_one_does_and_holds_nobody_up(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TIDINGS_TOPOLOGY=check nothing is put back by the producer."""
    await bind(broker.uri, "kept", "kept")

    with monkeypatch.context() as patch:
        patch.setenv("TIDINGS_TOPOLOGY", "check")
        patch.setattr(home, "SqliteOutbox", partial(SqliteOutbox, patience=0.0))
        async with Producer(broker.uri, outbox=sqlite(tmp_path)) as producer:
            await producer.publish("kept", 0, id="e0")
            await until(lambda: waiting(tmp_path) == [], what="it is connected")
            await broker.delete_queue(UNROUTED)
            await producer.publish("lost", 1, id="e1")
            await asyncio.gather(*(producer.publish("kept", n, id=f"e{n}") for n in range(2, 10)))
            await until(lambda: waiting(tmp_path) == ["e1"], what="only that one waits")
    async with Producer(broker.uri, outbox=sqlite(tmp_path)):
        await until(lambda: waiting(tmp_path) == [], what="it is sent")

    assert await copies_in(broker, UNROUTED) == {"e1": 1}
    assert set(await copies_in(broker, "kept")) == {"e0", *(f"e{n}" for n in range(2, 10))}


@pytest.mark.fault("P12")
async def test_at_the_quota_sources_wait_and_readiness_tells_and_all_is_sent_in_order_later(
    broker: Broker, tmp_path: Path
) -> None:
    @source(every="10ms", name="large")
    async def large(tick: Tick) -> Event:
        return Event("large", [tick.number, "x" * 20_000])

    await bind(broker.uri, "large", "large")
    missed = 'tidings_ticks_missed_total{source="large"}'
    async with (
        proxied(broker.uri) as proxy,
        producing(
            proxy.uri,
            *build_sources(declarations_of(large)),
            outbox=sqlite(tmp_path),
            outbox_bytes=QUOTA,
        ) as main,
    ):
        proxy.down()
        await until(lambda: any("outbox: " in one for one in main.health.reasons), what="it says")
        assert value(main, "tidings_outbox_bytes") <= QUOTA
        held = value(main, "tidings_outbox_depth")
        proxy.up()
        await until(lambda: value(main, missed), within=30, what="it goes on, and has missed some")
        await until(lambda: main.health.ready, what="ready again")

    assert held >= 20
    assert waiting(tmp_path) == []
    numbers = [data[0] for data, _ in (await arrived_in(broker, "large")).values()]
    assert numbers == sorted(numbers)
    assert numbers[-1] - numbers[0] + 1 - len(numbers) <= value(main, missed)


@pytest.mark.fault("P12")
async def test_at_the_quota_publish_raises_after_its_timeout_and_what_had_returned_is_sent(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_OUTBOX_BYTES", "1MiB")
    await bind(broker.uri, "large", "large")
    returned: list[str] = []

    async with proxied(broker.uri) as proxy:
        proxy.down()
        async with Producer(proxy.uri, outbox=sqlite(tmp_path)) as producer:

            async def publish(number: int, timeout: float) -> None:
                large = [number, "x" * 20_000]
                event = await producer.publish("large", large, id=f"e{number}", timeout=timeout)
                returned.append(event.id)

            async def publish_until_full() -> None:
                for number in range(100):
                    await publish(number, 1.5)

            with pytest.raises((OutboxFull, ConfirmUnknown)):
                await publish_until_full()
            proxy.up()
            await publish(1000, 30)

    assert len(returned) > 20
    arrived = await arrived_in(broker, "large")
    assert list(arrived) == returned


async def _has(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) >= count


async def _is_empty(broker: Broker, queue: str) -> bool:
    return await broker.messages(queue) == 0
