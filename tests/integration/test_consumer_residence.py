"""A consumer whose group lives in another home does not start: each event would come twice."""

import pytest

from common.broker import Connection
from common.errors import TopologyMismatch
from common.group_topology import group_topology
from common.homes import Home, home_of, home_topology, moving_name
from common.topology import Exchange, Topology
from consumer.residence import residence
from ops.rights import least_rights
from support.broker import Broker
from support.names import Names
from support.services import broker_connection


async def settle_in(connection: Connection, home: Home) -> None:
    whole = group_topology(home.group, ["order.created"], longest_delay=1, home=home)
    await connection.ensure(whole, "declare")


async def begin_move(connection: Connection, target: Home) -> None:
    marker = Exchange(moving_name(target.group, target), "topic")
    await connection.ensure(home_topology(target) + Topology((marker,)), "declare")


def homes(group: str) -> list[Home]:
    return [home_of(group, "any", 0), home_of(group, "fifo", 0), home_of(group, "key", 16)]


async def test_a_group_in_no_other_home_lives_where_the_consumer_looks(
    broker: Broker, names: Names
) -> None:
    async with broker_connection(broker.uri) as connection:
        for home in homes(names.group):
            assert await residence(connection, home) is None
        for number, home in enumerate(homes(names.group)):
            other = homes(names(f"g{number}"))[number]
            await settle_in(connection, other)
            assert await residence(connection, other) is None, home


async def test_a_group_that_lives_elsewhere_is_one_line_with_both_orders_and_the_remedy(
    broker: Broker, names: Names
) -> None:
    group = names.group
    any_, fifo, key16 = homes(group)
    async with broker_connection(broker.uri) as connection:
        await settle_in(connection, any_)
        with pytest.raises(TopologyMismatch) as asks_fifo:
            await residence(connection, fifo)
        with pytest.raises(TopologyMismatch) as asks_key:
            await residence(connection, key16)

    assert str(asks_fifo.value) == (
        f"group '{group}' lives in the order 'any' (queue '{group}'), this consumer asks for "
        f"TIDINGS_ORDER=fifo (queue '{group}.fifo'); in both each event would be handled twice: go "
        "back to TIDINGS_ORDER=any (or lifo, priority), or move the group with `tidings topology "
        "migrate` (docs/ordering.md)"
    )
    assert "TIDINGS_ORDER=key TIDINGS_PARTITIONS=16" in str(asks_key.value)
    assert f"exchange '{group}.key16'" in str(asks_key.value)


async def test_other_partitions_are_another_home(broker: Broker, names: Names) -> None:
    async with broker_connection(broker.uri) as connection:
        await settle_in(connection, home_of(names.group, "key", 8))
        with pytest.raises(TopologyMismatch, match=r"go back to .*TIDINGS_PARTITIONS=8"):
            await residence(connection, home_of(names.group, "key", 16))


async def test_while_a_group_moves_the_old_consumers_know_where_to_and_new_ones_wait(
    broker: Broker, names: Names
) -> None:
    any_, fifo, key16 = homes(names.group)
    async with broker_connection(broker.uri) as connection:
        await settle_in(connection, any_)
        await begin_move(connection, fifo)

        assert await residence(connection, any_) == fifo
        with pytest.raises(TopologyMismatch) as refused:
            await residence(connection, fifo)
        assert await residence(connection, key16) == fifo

    assert f"queue '{names.group}' remains" in str(refused.value)
    assert "`tidings topology migrate` with TIDINGS_ORDER=fifo to its end" in str(refused.value)


async def test_a_consumer_with_least_rights_sees_every_home_and_every_move(
    broker: Broker, names: Names
) -> None:
    (rights,) = (one for one in least_rights(names.group) if one.who == "consumer")
    uri = await broker.create_user(configure=rights.configure, write=rights.write, read=rights.read)
    any_, _, key16 = homes(names.group)
    async with broker_connection(broker.uri) as admin, broker_connection(uri) as connection:
        await settle_in(admin, key16)
        with pytest.raises(TopologyMismatch, match="lives in the order 'key16'"):
            await residence(connection, any_)
        await begin_move(admin, any_)
        assert await residence(connection, key16) == any_


async def test_what_a_user_may_not_see_counts_as_not_there(broker: Broker, names: Names) -> None:
    """4.3 refuses even to say whether a queue exists."""
    uri = await broker.create_user(configure="^$", write="^$", read="^$")
    async with broker_connection(uri) as connection:
        assert await residence(connection, home_of(names.group, "fifo", 0)) is None
