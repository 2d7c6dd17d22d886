"""`tidings topology`: what is needed, what differs, making it so, and with which rights."""

from collections.abc import Awaitable, Callable

import pytest

from common.group_topology import group_topology
from common.topology import EVENTS, Binding, Queue, Topology
from ops.rights import least_rights
from support.broker import Broker
from support.command import Said, tidings
from support.names import Names
from support.services import broker_connection, consuming
from support.waiting import until
from tidings import Context, Producer, RetryPolicy, handler

Run = Callable[..., Awaitable[Said]]


@pytest.fixture
def topology(broker: Broker, names: Names) -> Run:
    """Run `tidings topology` for the test's own group."""

    async def run(*arguments: str, management: bool = True) -> Said:
        where = {"MANAGEMENT_URI": broker.management_uri} if management else {}
        return await tidings(broker.uri, "topology", *arguments, GROUP=names.group, **where)

    return run


async def test_plan_names_all_that_is_missing_and_apply_makes_it(
    topology: Run, names: Names
) -> None:
    plan = await topology("plan")
    assert plan.code == 0
    assert f"queue '{names.group}': is missing" in plan.out
    assert f"exchange '{EVENTS}': is missing" in plan.out
    assert (await topology("check")).code == 78

    assert (await topology("apply")).code == 0

    assert "# differences: none" in (await topology("plan")).out
    assert await topology("check") == Said(0, "", "the topology is as it must be\n")


async def test_without_the_management_api_check_names_what_is_missing(
    topology: Run, names: Names
) -> None:
    check = await topology("check", management=False)
    assert check.code == 78
    assert f"queue '{names.group}'" in check.err

    await topology("apply", management=False)

    assert (await topology("check", management=False)).code == 0
    prune = await topology("apply", "--prune", management=False)
    assert prune.code == 78
    assert "TIDINGS_MANAGEMENT_URI" in prune.err


async def test_check_shows_every_difference_of_a_queue(
    topology: Run, broker: Broker, names: Names
) -> None:
    """A 406 of the broker names only the first."""
    other = Queue(names.group, (("x-queue-type", "quorum"), ("x-max-length", 5)), unlimited=False)
    async with broker_connection(broker.uri) as connection:
        await connection.ensure(Topology(queues=(other,)), "declare")

    check = await topology("check")

    assert check.code == 78
    for one in ("x-max-length is 5", "x-overflow is not set", "x-dead-letter-exchange is not set"):
        assert f"tidings: queue '{names.group}': {one}" in check.err


async def test_check_says_that_a_handlers_timeout_is_too_long_for_the_queues_policy(
    topology: Run, broker: Broker, names: Names
) -> None:
    """Of the default 30 s; the drain has 35 s."""
    await topology("apply")
    assert (await topology("check")).code == 0
    if broker.version < (3, 12):  # there a policy cannot say it
        return
    await broker.set_policy("short", f"^{names.group}$", consumer_timeout=60_000)

    async def refused() -> bool:
        return (await topology("check")).code == 78

    await until(refused, within=20, what="the policy is in effect")
    check = await topology("check")

    assert f"tidings: queue '{names.group}': the timeout of 30s" in check.err
    assert "consumer timeout of 1m: at most 12s" in check.err
    assert "consumer timeout of 1m" in (await topology("plan")).out


async def test_a_stale_binding_warns_and_only_prune_removes_it(
    topology: Run, broker: Broker, names: Names
) -> None:
    await topology("apply")
    stale = Topology(bindings=(Binding(EVENTS, names.group, "old.type"),))
    async with broker_connection(broker.uri) as connection:
        await connection.ensure(stale, "declare")

    check = await topology("check")
    assert check.code == 0
    assert "by 'old.type': is stale" in check.err
    assert "stale" in (await topology("plan")).out
    assert "unbound" not in (await topology("apply")).err

    prune = await topology("apply", "--prune")

    assert prune.code == 0
    assert "unbound: binding of queue" in prune.err
    assert "# differences: none" in (await topology("plan")).out


async def test_the_printed_rights_suffice_for_each_service(
    topology: Run, broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may make the topology makes it; the services then live with what `plan` printed."""
    group, attempts = names.group, list[int]()

    @handler("order.created", retry=RetryPolicy(attempts=2, first_delay=0.05))
    async def charge(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ValueError("always")

    monkeypatch.setenv("TIDINGS_TOPOLOGY", "check")
    printed = (await topology("plan")).out
    users = {}
    for rights in least_rights(group):
        assert rights.command(broker.vhost) in printed
        users[rights.who] = await broker.create_user(
            configure=rights.configure, write=rights.write, read=rights.read
        )
    async with broker_connection(users["topology"]) as connection:
        whole = group_topology(group, ["order.created"], longest_delay=30)
        await connection.ensure(whole, "declare")

    async with consuming(users["consumer"], group, charge, topology="check"):
        async with Producer(users["producer"]) as producer:
            await producer.publish("order.created", {"order": 7})
            await producer.publish("nobody.listens")
        await until(lambda: attempts == [1, 2])
        await until(lambda: _has(broker, f"{group}.dead", 1))

    assert await broker.messages("events.unrouted") == 1


async def _has(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
