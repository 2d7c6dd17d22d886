"""`tidings dead`: see, replay and drop dead letters, on a real broker."""

import asyncio

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from common.history import History
from common.message import Message
from common.topology import dead_name
from ops.letters import look
from ops.letters.desk import Desk
from ops.letters.letter import Wanted
from ops.letters.shelf import dead_shelf
from support.broker import Broker
from support.command import tidings
from support.names import Names
from support.services import consuming, drained, emit
from support.shelves import letter, make_group, set_aside
from support.waiting import until
from tidings import Reject, handler


async def test_a_dead_letter_is_listed_with_its_reason(broker: Broker, names: Names) -> None:
    group = names.group
    await set_aside(broker.uri, group, [letter(1)[1]])

    said = await tidings(broker.uri, "dead", "list", "--json", "--group", group)

    assert (said.code, said.err) == (0, "")
    assert said.objects == [
        {
            "id": "e1",
            "type": "order.created",
            "source": "/shop",
            "reason": "attempts_spent",
            "error": "shop.PaymentDown",
            "message": "no answer from the bank",
            "attempts": 3,
            "first_failed": "2023-11-14T22:13:20.123Z",
            "last_failed": "2023-11-14T22:13:29.456Z",
            "handler": "shop.charge",
            "group": group,
            "exchange": "events",
            "routing_key": "order.created",
            "replays": 0,
        }
    ]


async def test_a_person_sees_how_many_died_of_what(broker: Broker, names: Names) -> None:
    letters = [letter(number) for number in range(30)]
    letters += [letter(number, reason="rejected") for number in range(30, 35)]
    await set_aside(broker.uri, names.group, [message for _, message in letters])

    said = await tidings(broker.uri, "dead", "list", GROUP=names.group)

    rows = [line.split() for line in said.out.splitlines() if "shop.PaymentDown" in line]
    assert ["30", "attempts_spent", "order.created"] in [row[:3] for row in rows]
    assert ["5", "rejected", "order.created"] in [row[:3] for row in rows]
    assert "and 15 more" in said.out


async def test_show_prints_the_whole_record(broker: Broker, names: Names) -> None:
    group = names.group
    await set_aside(broker.uri, group, [letter(number)[1] for number in range(3)])

    said = await tidings(broker.uri, "dead", "show", "e1", "--group", group)
    (record,) = (
        await tidings(broker.uri, "dead", "show", "e1", "--group", group, "--json")
    ).objects

    assert said.code == 0
    for fact in ("shop.PaymentDown", 'File "shop.py", line 3', "pod-1", "traceparent", '"data": 1'):
        assert fact in said.out
    assert record["body"] == letter(1)[1].body.decode()
    assert record["attempt_times"] == ["2023-11-14T22:13:20.123Z", "2023-11-14T22:13:29.456Z"]
    assert record["headers"]["traceparent"] == "00-abc-def-01"


async def test_show_of_an_unknown_id_fails_and_says_so(broker: Broker, names: Names) -> None:
    await set_aside(broker.uri, names.group, [letter(1)[1]])
    said = await tidings(broker.uri, "dead", "show", "e9", "--group", names.group)
    assert (said.code, said.out) == (1, "")
    assert "none of 1 dead letter" in said.err


async def test_a_replay_sends_the_same_bytes_to_the_groups_own_queue(
    broker: Broker, names: Names
) -> None:
    group, other = names.group, names("other")
    await make_group(broker.uri, other, "order.*")
    await set_aside(broker.uri, group, [letter(1)[1]])

    said = await tidings(broker.uri, "dead", "replay", "--id", "e1", "--group", group)

    assert said.code == 0
    (found,) = await drained(broker.uri, group, 1)
    original = letter(1)[1]
    assert found.message._replace(headers={}) == original._replace(headers={})
    assert History.of(found) == History(
        hop=4, exchange="events", routing_key="order.created", replays=1
    )
    assert not [name for name in found.message.headers if name in ("tidings-reason", "x-death")]
    assert found.message.headers["traceparent"] == "00-abc-def-01"
    assert await broker.messages(dead_name(group)) == 0
    assert await broker.messages(other) == 0


async def test_a_replay_with_a_filter_leaves_the_others(broker: Broker, names: Names) -> None:
    group = names.group
    types = ("order.created", "order.paid", "mail.sent")
    messages = [letter(number, type_=types[number % 3])[1] for number in range(300)]
    await set_aside(broker.uri, group, messages)

    said = await tidings(
        broker.uri, "dead", "replay", "--type", "order.*", "--rate", "0", "--group", group
    )

    assert said.code == 0
    assert f"replayed 200 of 300 dead letters of group '{group}'" in said.err
    assert "left 100: not asked for" in said.err
    assert await broker.messages(group) == 200
    assert {one.message.type for one in await drained(broker.uri, dead_name(group), 100)} == {
        "mail.sent"
    }


async def test_a_dry_run_counts_and_moves_nothing(broker: Broker, names: Names) -> None:
    group = names.group
    await set_aside(broker.uri, group, [letter(1)[1], letter(2, replays=3)[1]])
    said = await tidings(broker.uri, "dead", "replay", "--all", "--dry-run", "--group", group)
    assert said.code == 0
    assert "would replay 1 dead letter" in said.out
    assert "would leave 1: replayed 3 times" in said.err
    assert await broker.messages(group) == 0
    assert await broker.messages(dead_name(group)) == 2


async def test_an_event_that_died_of_three_replays_is_left_unless_forced(
    broker: Broker, names: Names
) -> None:
    group = names.group
    await set_aside(broker.uri, group, [letter(1, replays=3)[1], letter(2, replays=2)[1]])

    said = await tidings(broker.uri, "dead", "replay", "--all", "--group", group)
    assert "left 1: replayed 3 times already" in said.err
    assert [one.message.message_id for one in await drained(broker.uri, group, 1)] == ["e2"]

    await tidings(broker.uri, "dead", "replay", "--all", "--force", "--group", group)
    assert [one.message.message_id for one in await drained(broker.uri, group, 1)] == ["e1"]


async def test_a_replay_ends_although_everything_fails_again(broker: Broker, names: Names) -> None:
    @handler("order.created")
    async def charge() -> None:
        raise Reject("still broken")

    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", *range(50))
        await until(lambda: _is(broker, dead_name(names.group), 50), what="50 dead letters")
        said = await tidings(
            broker.uri, "dead", "replay", "--all", "--rate", "0", "--group", names.group
        )
        await until(lambda: _is(broker, dead_name(names.group), 50), what="all of them back")

    assert said.code == 0
    letters = [History.of(one) for one in await drained(broker.uri, dead_name(names.group), 50)]
    assert {one.replays for one in letters} == {1}


async def test_drop_deletes_what_it_was_told_to(broker: Broker, names: Names) -> None:
    group = names.group
    messages = [letter(1)[1], letter(2, reason="expired")[1], letter(3, reason="expired")[1]]
    await set_aside(broker.uri, group, messages)

    refused = await tidings(broker.uri, "dead", "drop", "--reason", "expired", "--group", group)
    assert refused.code == 1
    assert "--yes" in refused.err
    assert await broker.messages(dead_name(group)) == 3

    said = await tidings(
        broker.uri, "dead", "drop", "--reason", "expired", "--yes", "--group", group
    )
    assert said.code == 0
    assert "dropped 2 dead letters" in said.err
    (left,) = await drained(broker.uri, dead_name(group), 1)
    assert left.message.message_id == "e1"


async def test_looking_at_what_the_delivery_limit_set_aside_does_not_delete_it(
    broker: Broker, names: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    # On 4.3 the count goes on in the queue of dead letters: with a limit there, one look too many
    # deletes the message.
    group = names.group
    await make_group(broker.uri, group, "order.*")
    await emit(broker.uri, "order.created", 1)
    async with await aio_pika.connect(broker.uri) as connection:

        async def refuse(message: AbstractIncomingMessage) -> None:
            await message.reject(requeue=True)

        channel = await connection.channel()
        await (await channel.get_queue(group)).consume(refuse)
        await until(lambda: _is(broker, dead_name(group), 1), what="a dead letter of the broker")

    desk = Desk(broker.uri, dead_shelf(group))
    for _ in range(30):
        # A quorum queue counts what was handed back a moment after the channel has taken it.
        await until(lambda: _is(broker, dead_name(group), 1), what="it is back in the queue")
        await look.list_(desk, Wanted(), None, as_json=True, stop=asyncio.Event())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 30
    assert '"reason": "delivery_limit"' in lines[-1]

    await tidings(broker.uri, "dead", "replay", "--all", "--group", group)
    (found,) = await drained(broker.uri, group, 1)
    assert History.of(found).routing_key == "order.created"


async def test_bodies_of_garbage_are_listed_shown_and_replayed(
    broker: Broker, names: Names
) -> None:
    group = names.group
    _, message = letter(1, reason="malformed")
    headers = {
        **message.headers,
        "tidings-id": "",
        "tidings-type": "",
        "tidings-message": "\x1b[2J",
    }
    garbage = Message(b"\x00\xff\x1b[2J", message_id="m1", headers=headers)
    await set_aside(broker.uri, group, [garbage])

    listed = await tidings(broker.uri, "dead", "list", "--group", group)
    shown = await tidings(broker.uri, "dead", "show", "m1", "--group", group)
    (record,) = (
        await tidings(broker.uri, "dead", "show", "m1", "--group", group, "--json")
    ).objects
    await tidings(broker.uri, "dead", "replay", "--id", "m1", "--group", group)

    assert "\x1b" not in listed.out + shown.out
    assert "\\x1b[2J" in shown.out
    assert record["body_base64"] == "AP8bWzJK"
    (found,) = await drained(broker.uri, group, 1)
    assert found.message.body == garbage.body


async def _is(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
