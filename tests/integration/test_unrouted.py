"""`tidings unrouted`: events that nobody was bound for when they were published."""

from common.history import History
from common.topology import UNROUTED, return_name
from support.broker import Broker
from support.command import tidings
from support.names import Names
from support.services import drained, emit, send
from support.shelves import letter, make_group
from support.waiting import until


async def test_an_event_nobody_is_bound_for_is_kept_listed_and_replayed(
    broker: Broker, names: Names
) -> None:
    await make_group(broker.uri, names.group, "mail.sent")
    (event,) = await emit(broker.uri, "order.created", {"order": 7})

    (listed,) = (await tidings(broker.uri, "unrouted", "list", "--json")).objects
    assert {name: value for name, value in listed.items() if value} == {
        "id": "e0",
        "type": "order.created",
        "source": "test",
        "reason": "unrouted",
        "exchange": "events",
        "routing_key": "order.created",
    }

    await make_group(broker.uri, names.group, "order.created")
    said = await tidings(broker.uri, "unrouted", "replay", "--all")

    assert said.code == 0
    assert "replayed 1 of 1 unrouted event" in said.err
    (found,) = await drained(broker.uri, names.group, 1)
    assert (found.exchange, found.routing_key) == ("events", "order.created")
    assert found.message.message_id == event.id
    assert History.of(found).attempts == 0
    assert await broker.messages(UNROUTED) == 0


async def test_a_replay_of_what_is_still_unroutable_ends_and_keeps_all_of_it(
    broker: Broker, names: Names
) -> None:
    await make_group(broker.uri, names.group, "mail.sent")
    await emit(broker.uri, "order.created", *range(150))

    for _ in range(2):
        said = await tidings(broker.uri, "unrouted", "replay", "--all", "--rate", "0")
        assert said.code == 0
        assert f"150 in {UNROUTED} now" in said.err
        await until(lambda: _lie_unrouted(broker, 150), what="all of it lies there again")
    found = await drained(broker.uri, UNROUTED, 150)
    assert {one.message.message_id for one in found} == {f"e{number}" for number in range(150)}
    assert len(found) == 150


async def _lie_unrouted(broker: Broker, count: int) -> bool:
    return await broker.messages(UNROUTED) == count


async def test_a_replay_can_be_of_one_type_only(broker: Broker, names: Names) -> None:
    await make_group(broker.uri, names.group)
    await emit(broker.uri, "order.created", 1, prefix="order")
    await emit(broker.uri, "mail.sent", 1, prefix="mail")
    await make_group(broker.uri, names.group, "#")

    await tidings(broker.uri, "unrouted", "replay", "--type", "order.*")

    assert [one.message.message_id for one in await drained(broker.uri, names.group, 1)] == [
        "order0"
    ]
    assert [one.message.message_id for one in await drained(broker.uri, UNROUTED, 1)] == ["mail0"]


async def test_a_retry_of_a_group_that_was_gone_goes_back_to_this_group_alone(
    broker: Broker, names: Names
) -> None:
    group, other = names.group, names("other")
    await make_group(broker.uri, group, "order.created")
    await make_group(broker.uri, other, "order.created")
    await broker.delete_queue(group)
    _, message = letter(1)
    await send(broker.uri, message, type_=group, exchange=return_name(group))
    assert await broker.messages(UNROUTED) == 1

    await make_group(broker.uri, group, "order.created")
    await tidings(broker.uri, "unrouted", "replay", "--all")

    (found,) = await drained(broker.uri, group, 1)
    assert History.of(found).attempts == 3
    assert History.of(found).routing_key == "order.created"
    assert await broker.messages(other) == 0


async def test_an_unrouted_message_that_is_no_event_is_listed_with_the_problem(
    broker: Broker, names: Names
) -> None:
    await make_group(broker.uri, names.group)
    message = letter(1)[1]
    await send(broker.uri, type(message)(b"\xff{", message_id="m1"), type_="order.created")

    (listed,) = (await tidings(broker.uri, "unrouted", "list", "--json")).objects

    assert listed["id"] == "m1"
    assert "not JSON" in listed["message"]
