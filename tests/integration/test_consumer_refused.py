"""What the broker refuses: users, rights, queues with other arguments."""

import asyncio
from pathlib import Path

import pytest

from common.errors import AccessRefused, TopologyMismatch
from common.topology import Queue, Topology, dead_name
from consumer.retrying import RetryPolicy
from support.broker import Broker
from support.names import Names
from support.processes import service
from support.services import broker_connection, consuming, emit
from support.waiting import until
from tidings import Context, handler


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
        configure="^$",
        write=rf"^{group}\.(dead|suspects|delay\..*)$",
        read=rf"^{group}(\.suspects)?$",
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
    uri = await broker.create_user(configure="^$", write="^$", read=rf"^{group}(\.suspects)?$")

    async def consume_until_it_fails() -> None:
        async with consuming(uri, group, charge, topology="check"):
            await emit(broker.uri, "order.created", 1)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await consume_until_it_fails()

    assert caught.group_contains(AccessRefused, match=f"exchange '{dead_name(group)}'")
    assert await broker.messages(group) == 1, "the event is where it was"
