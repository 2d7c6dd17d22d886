"""The consumer under faults: killed, stopped, cut off, its queues deleted under it."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from common.envelope import to_message
from common.errors import AccessRefused, TopologyMismatch
from common.event import Event
from common.message import Confirmed, Message, Nacked, Publishing
from common.topology import Queue, Topology, dead_name, return_name, tier_name
from consumer.policy import RetryPolicy
from support.broker import Broker, OwnBroker
from support.names import Names
from support.processes import service
from support.proxy import proxied
from support.services import broker_connection, consuming, dead_letters, emit
from support.waiting import until
from tidings import Context, handler

RECORDING = """
import asyncio, pathlib
from tidings import handler, Event, Context

LOG = pathlib.Path("runs.txt")

@handler("order.created")
async def charge(event: Event, ctx: Context) -> None:
    with LOG.open("a") as file:
        file.write(f"{event.id} {ctx.attempt}\\n")
    if pathlib.Path("hang").exists():
        await asyncio.sleep(60)
"""


def runs(folder: Path) -> list[list[str]]:
    """What handlers wrote when they started: event id and attempt."""
    log = folder / "runs.txt"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A user's folder with one module."""
    (tmp_path / "shop.py").write_text(RECORDING)
    return tmp_path


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
    assert await broker.messages(names.group) == 50
    (shop / "hang").unlink()
    async with service("consumer", "shop", folder=shop, name="second", **where):
        await until(lambda: len(runs(shop)) == 100)

    assert {attempt for _, attempt in runs(shop)} == {"1"}
    assert await broker.messages(dead_name(names.group)) == 0


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
    assert await broker.messages(names.group) == 1, "what had not started went back"
    assert "drain" in " ".join(main.health.reasons)


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


async def test_a_lost_connection_does_not_end_a_handler_nor_run_it_twice(
    broker: Broker, names: Names
) -> None:
    """When the ack is lost, the redelivery waits for the run that goes on, and is acked."""
    started, release, finished = asyncio.Event(), asyncio.Event(), list[str]()

    @handler("order.created")
    async def charge(event: Event) -> None:
        started.set()
        await release.wait()
        finished.append(event.id)

    async with proxied(broker.uri) as proxy, consuming(proxy.uri, names.group, charge) as main:
        await emit(broker.uri, "order.created", 1)
        await started.wait()
        proxy.abort()
        await until(lambda: not main.health.ready)
        await until(lambda: main.health.ready)
        release.set()
        await until(lambda: _is_empty(broker, names.group))
        await emit(broker.uri, "order.created", 1, prefix="after")
        await until(lambda: len(finished) == 2)

    assert finished == ["e0", "after0"]
    assert "tidings_late_settles_total 1.0" in main.metrics.render()[0].decode()


async def test_a_deleted_queue_is_taken_up_again(broker: Broker, names: Names) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    async with consuming(broker.uri, names.group, charge) as main:
        await broker.delete_queue(names.group)
        await until(lambda: not main.health.ready, within=5)
        await until(lambda: main.health.ready)
        await emit(broker.uri, "order.created", 1)
        await until(lambda: seen == ["e0"])


@pytest.mark.parametrize("what", ["dead", "tier", "return"])
async def test_a_deleted_exchange_loses_no_retry_and_no_dead_letter(
    broker: Broker, names: Names, what: str
) -> None:
    """The copy is not confirmed, so the original stays ours until all is there again."""

    @handler("order.created", retry=RetryPolicy(attempts=2, first_delay=0.05, factor=1))
    async def charge(ctx: Context) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    group = names.group
    name = {"dead": dead_name(group), "tier": tier_name(group, 1), "return": return_name(group)}[
        what
    ]
    async with consuming(broker.uri, group, charge) as main:
        await broker.delete_exchange(name)
        await emit(broker.uri, "order.created", 1)
        if what == "return":
            # The broker holds the retry in its tier, at least once, until a consumer starts anew.
            await until(lambda: _stores_one(broker, tier_name(group, 1)), within=20)
            return
        (letter,) = await dead_letters(broker.uri, group, 1)

    assert (letter.id, letter.attempts) == ("e0", 2)
    assert main.health is not None


async def _stores_one(broker: Broker, queue: str) -> bool:
    return await broker.stored(queue) == 1


async def test_a_full_dead_letter_queue_keeps_the_original(broker: Broker, names: Names) -> None:
    @handler("order.created", attempts=1)
    async def charge() -> None:
        raise ValueError("x")

    dead = dead_name(names.group)

    async def refused() -> bool:
        async with broker_connection(broker.uri) as connection:
            return await connection.publish(Publishing(dead, names.group, Message(b""))) == Nacked()

    async with consuming(broker.uri, names.group, charge):
        await broker.set_policy("full", f"^{dead}$", max_length=1, overflow="reject-publish")
        await until(refused, what="the dead letter queue is full")
        fillers = await broker.messages(dead)
        await emit(broker.uri, "order.created", 1)
        letters = await dead_letters(broker.uri, names.group, fillers + 1)

    assert [one.id for one in letters if one.reason == "attempts_spent"] == ["e0"]


@pytest.mark.serial
@pytest.mark.harms
async def test_a_broker_that_is_stopped_and_started_under_load_loses_nothing(
    own_broker: OwnBroker, names: Names
) -> None:
    seen: Counter[int] = Counter()

    @handler("order.created", retry=RetryPolicy(first_delay=0.05))
    async def charge(event: Event, ctx: Context) -> None:
        if event.data % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once")
        seen[event.data] += 1

    async def load(first: int, count: int) -> set[int]:
        async with broker_connection(own_broker.uri) as connection:
            confirmed = set()
            for number in range(first, first + count):
                event = Event("order.created", number, id=str(number), source="test")
                answer = await connection.publish(
                    Publishing("events", "order.created", to_message(event))
                )
                if isinstance(answer, Confirmed):
                    confirmed.add(number)
            return confirmed

    async with consuming(own_broker.uri, names.group, charge) as main:
        confirmed = await load(0, 300)
        running = asyncio.create_task(load(300, 300))
        await until(lambda: len(seen) > 320)
        await own_broker.stop()
        confirmed |= await running
        await until(lambda: not main.health.ready)
        await own_broker.start()
        await until(lambda: main.health.ready, within=30)
        confirmed |= await load(600, 100)
        await until(lambda: confirmed <= set(seen), within=60, what="every confirmed event handled")

    assert len(confirmed) >= 400


@pytest.mark.serial
@pytest.mark.harms
async def test_the_consumer_starts_before_the_broker_and_works_soon_after(
    own_broker: OwnBroker, names: Names
) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    await own_broker.stop()
    async with consuming(own_broker.uri, names.group, charge, ready=False) as main:
        await until(lambda: any("not reachable" in one for one in main.health.reasons))
        await own_broker.start()
        await until(lambda: main.health.ready, within=15)
        await emit(own_broker.uri, "order.created", 1)
        await until(lambda: seen)


async def test_a_wrong_password_ends_the_service_with_78_and_one_line(
    broker: Broker, names: Names, shop: Path
) -> None:
    uri = (await broker.create_user()).replace("@", "-s3ntinel@", 1)
    async with service("consumer", "shop", folder=shop, AMQP_URI=uri, GROUP=names.group) as one:
        assert await one.exit_code() == 78
        last = one.output.strip().splitlines()[-1]

    assert last.startswith("tidings: AMQP_URI: ")
    assert "refused the user or the password" in last
    assert "s3ntinel" not in one.output
    assert "Traceback" not in one.output


async def test_a_queue_with_other_arguments_ends_the_service_with_78_and_one_line(
    broker: Broker, names: Names, shop: Path
) -> None:
    async with broker_connection(broker.uri) as connection:
        other = Queue(names.group, (("x-queue-type", "quorum"), ("x-max-length", 5)))
        await connection.ensure(Topology(queues=(other,)), "declare")
    where = {"AMQP_URI": broker.uri, "GROUP": names.group}
    async with service("consumer", "shop", folder=shop, **where) as one:
        assert await one.exit_code() == 78
        last = one.output.strip().splitlines()[-1]

    assert f"queue '{names.group}' exists with other arguments" in last
    assert "Traceback" not in one.output


async def test_check_mode_creates_nothing_and_names_what_is_missing(
    broker: Broker, names: Names
) -> None:
    @handler("order.created")
    async def charge() -> None:
        """Never runs."""

    with pytest.raises(ExceptionGroup) as caught:
        async with consuming(broker.uri, names.group, charge, topology="check"):
            pass

    assert caught.group_contains(TopologyMismatch, match=f"queue '{names.group}'")
    assert await broker.queues() == set()


async def test_a_consumer_needs_few_rights_where_the_topology_was_made_before(
    broker: Broker, names: Names
) -> None:
    seen: list[int] = []

    @handler("order.created", retry=RetryPolicy(first_delay=0.05))
    async def charge(ctx: Context) -> None:
        seen.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError("once")

    group = names.group
    async with consuming(broker.uri, group, charge):
        pass  # it has declared everything
    uri = await broker.create_user(
        configure="^$", write=rf"^{group}\.(dead|delay\..*)$", read=f"^{group}$"
    )
    async with consuming(uri, group, charge, topology="check"):
        await emit(broker.uri, "order.created", 1)
        await until(lambda: seen == [1, 2])


async def test_no_right_to_publish_dead_letters_ends_the_service(
    broker: Broker, names: Names
) -> None:
    @handler("order.created", attempts=1)
    async def charge() -> None:
        raise ValueError("x")

    group = names.group
    async with consuming(broker.uri, group, charge):
        pass
    uri = await broker.create_user(configure="^$", write="^$", read=f"^{group}$")

    async def consume_until_it_fails() -> None:
        async with consuming(uri, group, charge, topology="check"):
            await emit(broker.uri, "order.created", 1)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await consume_until_it_fails()

    assert caught.group_contains(AccessRefused, match=f"exchange '{dead_name(group)}'")
    assert await broker.messages(group) == 1, "the event is where it was"
