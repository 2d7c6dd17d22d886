"""`tidings topology` and `describe` of groups with an order: what is printed, compared, refused."""

from typing import Any, Literal

import pytest

from common.group_topology import group_topology
from common.homes import begun_name, home_of
from common.message import Confirmed, Message, Publishing
from common.slot import SLOT
from common.topology import EVENTS, Binding, Topology
from ops.management import Management
from ops.rights import least_rights
from support.broker import Broker
from support.command import Said, tidings
from support.names import Names
from support.services import broker_connection, consuming, drained, emit
from support.waiting import until
from tidings import Event, handler


async def run(broker: Broker, names: Names, *arguments: str, order: str) -> Said:
    return await tidings(
        broker.uri,
        *("topology", *arguments),
        GROUP=names.group,
        ORDER=order,
        PARTITIONS=4,
        MANAGEMENT_URI=broker.management_uri,
    )


async def test_a_home_of_partitions_is_made_compared_and_printed_a_line_each(
    broker: Broker, names: Names
) -> None:
    assert (await run(broker, names, "apply", order="key")).code == 0

    plan = await run(broker, names, "plan", order="key")

    assert "# differences: none" in plan.out
    assert f"# order key, home key4: exchange '{names.group}.key4'" in plan.out
    slots = [line for line in plan.out.splitlines() if SLOT in line]
    assert len(slots) == 4
    assert f"{names.group}.key4 -> {names.group}.key4.1  {SLOT} 1 5 9" in slots[1]
    assert (await run(broker, names, "check", order="key")).code == 0


async def test_a_slot_that_leads_nowhere_and_a_stale_type_of_an_exchange_are_found(
    broker: Broker, names: Names
) -> None:
    await run(broker, names, "apply", order="key")
    home = home_of(names.group, "key", 4)
    whole = group_topology(names.group, [], longest_delay=1, home=home)
    lost = next(one for one in whole.bindings if dict(one.arguments).get(SLOT) == "7")
    Management(broker.management_uri, broker.uri).unbind(lost)
    stale = Binding(EVENTS, home.entrance, "old.type", to_exchange=True)
    async with broker_connection(broker.uri) as connection:
        await connection.ensure(Topology(bindings=(stale,)), "declare")

    check = await run(broker, names, "check", order="key")

    assert check.code == 78
    assert f"binding of queue '{home.partition(3)}' to '{home.entrance}' by '{SLOT} 7'" in check.err
    assert f"exchange '{home.entrance}' to 'events' by 'old.type': is stale" in check.err

    assert (await run(broker, names, "apply", "--prune", order="key")).code == 0
    assert "# differences: none" in (await run(broker, names, "plan", order="key")).out


async def test_apply_makes_no_second_home(broker: Broker, names: Names) -> None:
    await run(broker, names, "apply", order="any")

    refused = await run(broker, names, "apply", order="fifo")

    assert refused.code == 78
    assert "lives in the order 'any'" in refused.err
    assert f"{names.group}.fifo" not in await broker.queues()


@pytest.mark.parametrize("order", ["fifo", "key"])
async def test_the_printed_rights_suffice_in_an_ordered_home(
    broker: Broker, names: Names, order: Literal["fifo", "key"], monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = list[int]()

    @handler("order.created")
    async def charge(event: Event) -> None:
        handled.append(event.data)

    monkeypatch.setenv("TIDINGS_TOPOLOGY", "check")
    users = {
        one.who: await broker.create_user(configure=one.configure, write=one.write, read=one.read)
        for one in least_rights(names.group)
    }
    home = home_of(names.group, order, 4)
    whole = group_topology(names.group, ["order.created"], longest_delay=3600, home=home)
    async with broker_connection(users["topology"]) as connection:
        await connection.ensure(whole, "declare")

    given: dict[str, Any] = {"order": order, "partitions": 4, "topology": "check"}
    async with consuming(users["consumer"], names.group, charge, ready=True, **given):
        await emit(users["producer"], "order.created", 1)
        await until(lambda: handled == [1])
    async with broker_connection(users["consumer"]) as connection:
        note = Publishing(begun_name(names.group), "", Message(b"1"))
        assert isinstance(await connection.publish(note), Confirmed)
    assert len(await drained(users["consumer"], begun_name(names.group), 1)) == 1
