"""Acks that never arrive and peers that nobody hears of any more: copies come, effects do not."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from common.broker import connection, dial
from consumer.main import Main
from support.broker import Broker
from support.names import Names
from support.processes import sample_in
from support.proxy import proxied
from support.services import consuming, emit
from support.waiting import until
from tidings import Event, Transaction, handler

HANDLED = 'tidings_consumed_total{outcome="handled",type="order.created"}'
DUPLICATES = 'tidings_consumed_total{outcome="duplicate",type="unknown"}'


def value(main: Main, sample: str) -> float:
    text, _ = main.metrics.render()
    return sample_in(text.decode(), sample)


@pytest.mark.fault("C23")
@pytest.mark.parametrize("inbox", ["memory", "sqlite:///{}/inbox.db"], ids=["memory", "sqlite"])
async def test_when_the_ack_of_a_handled_event_is_lost_its_copy_is_recognised(
    broker: Broker, names: Names, tmp_path: Path, inbox: str
) -> None:
    """Given a connection that takes nothing more to the broker from the handler's start on."""
    runs: list[str] = []

    async with proxied(broker.uri) as proxy:

        @handler("order.created")
        async def charge(event: Event) -> None:
            runs.append(event.id)
            if event.id == "e0":
                proxy.hold_up()

        home = inbox.format(tmp_path)
        async with consuming(proxy.uri, names.group, charge, inbox=home) as main:
            await emit(broker.uri, "order.created", 1)
            await until(lambda: value(main, HANDLED) == 1, what="it is handled and acked")
            proxy.abort()
            await until(lambda: value(main, DUPLICATES) == 1, what="its copy is recognised")
            await emit(broker.uri, "order.created", 2, prefix="after")
            await until(lambda: runs == ["e0", "after0"])
            await until(lambda: _is_empty(broker, names.group))


@pytest.mark.fault("C25")
async def test_of_two_consumers_that_hold_one_event_at_once_one_has_the_effect(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    """Given a handler that runs while the broker, which lost its consumer, asks another one."""
    path = tmp_path / "inbox.db"
    home, starts, release = f"sqlite:///{path}", Counter[str](), asyncio.Event()

    @handler("order.created")
    async def pay(event: Event, tx: Transaction) -> None:
        tx.execute("CREATE TABLE effects (event TEXT)")
        tx.execute("INSERT INTO effects VALUES (?)", (event.id,))
        starts["first"] += 1
        await release.wait()

    @handler("order.created")
    async def pay_too(tx: Transaction) -> None:
        starts["second"] += 1

    async with proxied(broker.uri) as proxy, consuming(proxy.uri, names.group, pay, inbox=home):
        await emit(broker.uri, "order.created", 1)
        await until(lambda: starts["first"])
        async with consuming(broker.uri, names.group, pay_too, inbox=home) as second:
            proxy.sever()
            await until(lambda: value(second, "tidings_redelivered_total"), what="it has the copy")
            release.set()
            await until(lambda: value(second, DUPLICATES) == 1, what="the copy is recognised")
            await until(lambda: _is_empty(broker, names.group))
        proxy.abort()

    assert starts == {"first": 1}
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT event FROM effects").fetchall() == [("e0",)]


@pytest.mark.fault("C44")
async def test_a_peer_that_has_gone_silent_is_noticed_and_only_copies_come_of_it(
    broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less patience than in service: there it is 20 s, as a frozen broker shows."""
    monkeypatch.setattr(dial, "HEARTBEAT_SECONDS", 2)
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 4)
    runs, release = Counter[str](), asyncio.Event()

    @handler("order.created")
    async def charge(event: Event) -> None:
        runs[event.id] += 1
        if event.data == "slow":
            await release.wait()

    async with proxied(broker.uri) as proxy, consuming(proxy.uri, names.group, charge) as main:
        await emit(broker.uri, "order.created", "slow")
        await until(lambda: runs)
        proxy.sever()
        await emit(broker.uri, "order.created", *range(20), prefix="meanwhile")
        await until(lambda: not main.health.ready, what="it is noticed")
        assert any("no sign of life" in reason for reason in main.health.reasons)
        await until(lambda: main.health.ready, what="consuming again")
        await until(lambda: len(runs) == 21)
        release.set()
        await until(lambda: _is_empty(broker, names.group))
        proxy.abort()

    assert set(runs.values()) == {1}, "in one process none runs twice"


async def _is_empty(broker: Broker, queue: str) -> bool:
    return await broker.messages(queue) == 0
