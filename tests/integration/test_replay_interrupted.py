"""A replay that is stopped, killed or not alone: nothing is lost, few or none are repeated."""

import signal
from collections import Counter

from common.topology import dead_name
from ops.letters.replay import WINDOW
from support.broker import Broker
from support.command import running, tidings
from support.names import Names
from support.services import drained
from support.shelves import letter, set_aside
from support.waiting import until

COUNT = 300
ALL = {f"e{number}" for number in range(COUNT)}


async def fill(broker: Broker, group: str) -> None:
    await set_aside(broker.uri, group, [letter(number)[1] for number in range(COUNT)])


async def ids_in(broker: Broker, queue: str) -> Counter[str | None]:
    """Take everything out of a queue that nobody else reads or writes now."""
    count = await broker.messages(queue)
    return Counter(one.message.message_id for one in await drained(broker.uri, queue, count))


async def test_a_replay_killed_half_way_loses_nothing_and_repeats_at_most_its_window(
    broker: Broker, names: Names
) -> None:
    group, dead = names.group, dead_name(names.group)
    await fill(broker, group)

    async with running(
        broker.uri, "dead", "replay", "--all", "--rate", "300", "--group", group
    ) as replay:
        await until(lambda: _at_least(broker, group, 120), what="120 were replayed")
        replay.process.kill()
        await replay.process.wait()
    await until(lambda: _unread(broker, dead), what="the broker has noticed")
    listed = await tidings(broker.uri, "dead", "list", "--json", "--group", group)
    sent, left = await ids_in(broker, group), {one["id"] for one in listed.objects}

    assert left, "it was killed before its end"
    assert set(sent) | left == ALL
    assert len(set(sent) & left) <= WINDOW

    again = await tidings(broker.uri, "dead", "replay", "--all", "--rate", "0", "--group", group)
    assert again.code == 0
    assert set(await ids_in(broker, group)) == left
    assert await broker.messages(dead) == 0


async def test_a_replay_interrupted_half_way_loses_and_repeats_nothing_and_goes_on(
    broker: Broker, names: Names
) -> None:
    group, dead = names.group, dead_name(names.group)
    await fill(broker, group)

    async with running(
        broker.uri, "dead", "replay", "--all", "--rate", "200", "--group", group
    ) as replay:
        await until(lambda: _at_least(broker, group, 60), what="60 were replayed")
        replay.process.send_signal(signal.SIGINT)
        said = await replay.end()
    sent = await broker.messages(group)

    assert said.code == 130
    assert f"replayed {sent} of {COUNT} dead letters" in said.err
    assert "goes on from here" in said.err
    await until(lambda: _at_least(broker, dead, COUNT - sent), what="the others are back")

    again = await tidings(broker.uri, "dead", "replay", "--all", "--rate", "0", "--group", group)
    assert again.code == 0
    assert await ids_in(broker, group) == Counter(ALL)
    assert await broker.messages(dead) == 0


async def test_two_replays_at_once_replay_each_dead_letter_once(
    broker: Broker, names: Names
) -> None:
    group, dead = names.group, dead_name(names.group)
    await fill(broker, group)

    async with running(
        broker.uri, "dead", "replay", "--all", "--rate", "25", "--group", group
    ) as slow:
        # Its window is as good as replayed; the rest is free for the other.
        await until(lambda: _at_least(broker, group, 10), what="10 were replayed")
        quick = await tidings(
            broker.uri, "dead", "replay", "--all", "--rate", "0", "--group", group
        )
        slow_said = await slow.end()

    assert (quick.code, slow_said.code) == (0, 0)
    assert "replayed 0 of" not in quick.err
    assert await ids_in(broker, group) == Counter(ALL)
    assert await broker.messages(dead) == 0


async def test_a_broker_that_refuses_to_store_more_ends_a_replay_without_loss(
    broker: Broker, names: Names
) -> None:
    group, dead = names.group, dead_name(names.group)
    await fill(broker, group)
    await broker.set_policy("full", f"^{group}$", max_length=50)

    said = await tidings(broker.uri, "dead", "replay", "--all", "--rate", "0", "--group", group)
    await broker.clear_policy("full")
    sent = await broker.messages(group)

    assert said.code == 1
    assert "the broker refused to store it" in said.err
    await until(lambda: _at_least(broker, dead, COUNT - sent), what="the others are back")
    assert await ids_in(broker, group) + await ids_in(broker, dead) == Counter(ALL)


async def test_a_lost_connection_ends_a_replay_without_loss(broker: Broker, names: Names) -> None:
    group, dead = names.group, dead_name(names.group)
    await fill(broker, group)

    async with running(
        broker.uri, "dead", "replay", "--all", "--rate", "20", "--group", group
    ) as replay:
        await until(lambda: _at_least(broker, group, 20), what="20 were replayed")
        await broker.close_all_connections(at_least=2)
        said = await replay.end()
    assert said.code == 69
    assert "may come a second time" in said.err
    assert "Traceback" not in said.err

    await until(lambda: _unread(broker, dead), what="the broker has noticed")
    again = await tidings(broker.uri, "dead", "replay", "--all", "--rate", "0", "--group", group)
    assert again.code == 0
    assert set(await ids_in(broker, group)) == ALL


async def _at_least(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) >= count


async def _unread(broker: Broker, queue: str) -> bool:
    return await broker.consumers(queue) == 0
