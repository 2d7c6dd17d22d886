"""The inbox on disk behind a real broker: what was handled is not handled again, effects once."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.group_topology import group_topology
from producer.facade import Producer
from support.broker import Broker
from support.names import Names
from support.processes import service
from support.services import broker_connection, consuming, dead_letters
from support.waiting import until
from tidings import Context, Event, RetryPolicy, Transaction, handler

EFFECTS = "CREATE TABLE IF NOT EXISTS effects (event TEXT)"

PAYING = """
import asyncio
from tidings import Event, Transaction, handler

@handler("order.created", timeout="20s")
async def pay(event: Event, tx: Transaction) -> None:
    tx.execute("CREATE TABLE IF NOT EXISTS effects (event TEXT)")
    tx.execute("INSERT INTO effects VALUES (?)", (event.id,))
    await asyncio.sleep(0.01)
"""


def effects(path: Path) -> list[str]:
    with sqlite3.connect(path) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
        found = [] if "effects" not in tables else database.execute("SELECT event FROM effects")
        rows = [event for (event,) in found]
    database.close()
    return rows


@pytest.mark.fault("C25")
async def test_an_event_that_was_handled_is_not_handled_again_by_the_next_process(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    """Given an event that is published twice, and a consumer that is restarted in between."""
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    home = f"sqlite:///{tmp_path / 'inbox.db'}"
    async with Producer(broker.uri, source="shop") as producer:
        async with consuming(broker.uri, names.group, charge, inbox=home):
            event = await producer.publish("order.created", 1, id="one")
            await until(lambda: seen == ["one"])
        async with consuming(broker.uri, names.group, charge, inbox=home):
            await producer.publish_event(event)  # a copy, to the byte
            await producer.publish("order.created", 2, id="two")
            await until(lambda: "two" in seen)

    assert seen == ["one", "two"]


async def test_a_retry_runs_and_is_not_taken_for_a_duplicate(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    attempts: list[int] = []

    @handler("order.created", retry=RetryPolicy(first_delay=0.05))
    async def charge(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionError("not yet")

    home = f"sqlite:///{tmp_path / 'inbox.db'}"
    async with (
        Producer(broker.uri) as producer,
        consuming(broker.uri, names.group, charge, inbox=home),
    ):
        await producer.publish("order.created", 1)
        await until(lambda: attempts == [1, 2, 3])


async def test_effects_and_the_inbox_are_one_transaction_also_through_a_failure(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    path = tmp_path / "inbox.db"

    @handler("order.created", retry=RetryPolicy(first_delay=0.05))
    def pay(event: Event, ctx: Context, tx: Transaction) -> None:
        tx.execute(EFFECTS)
        tx.execute("INSERT INTO effects VALUES (?)", (event.id,))
        if ctx.attempt == 1:
            raise ConnectionError("after the effect")

    async with (
        Producer(broker.uri, source="shop") as producer,
        consuming(broker.uri, names.group, pay, inbox=f"sqlite:///{path}") as main,
    ):
        event = await producer.publish("order.created", 1, id="one")
        await until(lambda: effects(path) == ["one"])
        await producer.publish_event(event)
        await producer.publish("order.created", 2, id="two")
        await until(lambda: effects(path) == ["one", "two"])
        assert main.inbox.trouble is None


@pytest.mark.timeout(180)
@pytest.mark.fault("C19", "C25")
async def test_consumers_killed_again_and_again_have_each_effect_once(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    """Given two processes on one inbox that are killed in the midst of their handlers."""
    (tmp_path / "shop.py").write_text(PAYING)
    path = tmp_path / "inbox.db"
    settings = {"AMQP_URI": broker.uri, "GROUP": names.group, "INBOX": f"sqlite:///{path}"}
    count = 150

    async def worker(name: str, kills: int) -> None:
        for _ in range(kills):
            goal = len(effects(path)) + 15
            async with service(
                "consumer", "shop", folder=tmp_path, name=name, **settings
            ) as running:
                await running.says("subscribed", within=30)
                await until(lambda goal=goal: len(effects(path)) >= min(goal, count), within=60)  # type: ignore[misc] # bound by its default
                running.kill()

    async with broker_connection(broker.uri) as connection:
        whole = group_topology(names.group, ["order.created"], longest_delay=3600)
        await connection.ensure(whole, "declare")
    async with Producer(broker.uri) as producer:
        for number in range(count):
            await producer.publish("order.created", number, id=str(number))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker("a", 3))
        tasks.create_task(worker("b", 3))
    async with service("consumer", "shop", folder=tmp_path, **settings):
        await until(lambda: len(set(effects(path))) == count, within=60)

    assert sorted(effects(path)) == sorted(map(str, range(count)))


async def test_a_transaction_without_a_database_is_refused_at_the_start(
    broker: Broker, names: Names
) -> None:
    @handler("order.created")
    async def pay(tx: Transaction) -> None:
        """Never runs."""

    with pytest.raises(ConfigError, match="TIDINGS_INBOX=sqlite"):
        async with consuming(broker.uri, names.group, pay):
            pass


@pytest.mark.fault("C40")
async def test_while_the_inbox_cannot_be_written_consuming_pauses_and_no_attempt_is_counted(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    """Given another process that holds the file's lock for a while."""
    path = tmp_path / "inbox.db"
    attempts: list[int] = []

    @handler("order.created", attempts=2)
    async def charge(ctx: Context) -> None:
        attempts.append(ctx.attempt)

    async with (
        Producer(broker.uri) as producer,
        consuming(broker.uri, names.group, charge, inbox=f"sqlite:///{path}") as main,
    ):
        await producer.publish("order.created", 1)
        await until(lambda: attempts == [1])
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        await producer.publish("order.created", 2)
        await until(lambda: not main.health.ready, within=30, what="readiness says why")
        assert any("inbox" in reason for reason in main.health.reasons)
        holder.execute("ROLLBACK")
        holder.close()
        await until(lambda: main.health.ready, within=30)
        await producer.publish("order.created", 3)
        await until(lambda: len(attempts) == 3)

    assert attempts == [1, 1, 1]
    assert await dead_letters(broker.uri, names.group, 0) == []


@pytest.mark.fault("C40")
async def test_while_the_inbox_is_gone_nothing_is_lost_and_it_goes_on_when_it_is_back(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    """Given a volume that vanishes under a consumer, with an event in its hands."""
    home, aside = tmp_path / "data", tmp_path / "aside"
    home.mkdir()
    started, release, attempts = asyncio.Event(), asyncio.Event(), list[int]()

    @handler("order.created", attempts=2)
    async def charge(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        started.set()
        await release.wait()

    inbox = f"sqlite:///{home / 'inbox.db'}"
    async with (
        Producer(broker.uri) as producer,
        consuming(broker.uri, names.group, charge, inbox=inbox) as main,
    ):
        await producer.publish("order.created", 1)
        await started.wait()
        home.rename(aside)
        release.set()
        await until(lambda: not main.health.ready, within=30, what="readiness says why")
        assert any("inbox" in reason for reason in main.health.reasons)
        await producer.publish("order.created", 2)
        aside.rename(home)
        await until(lambda: main.health.ready, within=30)
        await until(lambda: len(attempts) == 2)
        await until(lambda: _is_empty(broker, names.group))

    assert attempts == [1, 1]
    assert await dead_letters(broker.uri, names.group, 0) == []


async def _is_empty(broker: Broker, queue: str) -> bool:
    return await broker.messages(queue) == 0
