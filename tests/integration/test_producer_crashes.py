"""A producer that dies at each point between acceptance and removal: what had returned arrives.

The points are O1 to O7 of the research; tests/support/crashing.py has the hooks.
"""

import asyncio
from pathlib import Path

import pytest

from producer.facade import Producer
from support.broker import Broker
from support.copies import copies_in
from support.crashes import KILLED, OUTBOX, program, set_aside, waiting
from support.crashing import HEALED, MOST_UNREMOVED
from support.producing import NOBODY, bind, ids_in
from support.waiting import until

COUNT = 200
LATER = 1000
"""The first number of the events that the process after the crash publishes itself."""
KEPT = "order.kept"


def ids(first: int, count: int) -> set[str]:
    return {f"e{number}" for number in range(first, first + count)}


async def crashed(uri: str, folder: Path, point: str) -> set[str]:
    """Let it publish until it kills itself; return the ids of what had returned."""
    async with program(uri, folder, KEPT, at=point, count=COUNT) as running:
        assert await running.ends() == KILLED
    return running.returned


async def arrived(broker: Broker, folder: Path, returned: set[str]) -> dict[str, int]:
    """Open its outbox again; all that had returned, and nothing strange, arrives."""
    own = ids(LATER, 20)
    async with Producer(broker.uri, outbox=f"sqlite:///{folder / OUTBOX}") as producer:
        await asyncio.gather(*(producer.publish(KEPT, int(one[1:]), id=one) for one in own))
        await until(lambda: waiting(folder) == [], within=30, what="all are sent")
    copies = await copies_in(broker, "kept")
    assert returned | own <= set(copies) <= ids(0, COUNT) | own
    return copies


@pytest.mark.parametrize("up", [True, False], ids=["broker up", "no broker"])
@pytest.mark.parametrize(
    "point",
    [
        pytest.param("O1", marks=pytest.mark.fault("O1")),
        pytest.param("O2", marks=pytest.mark.fault("O2")),
    ],
)
async def test_killed_before_or_during_a_commit_it_loses_nothing_that_had_returned(
    broker: Broker, tmp_path: Path, point: str, *, up: bool
) -> None:
    await bind(broker.uri, "kept", KEPT)

    returned = await crashed(broker.uri if up else NOBODY, tmp_path, point)

    assert 20 <= len(returned) < COUNT
    copies = await arrived(broker, tmp_path, returned)
    if not up:  # what was not committed had gone nowhere
        assert set(copies) == returned | ids(LATER, 20)
        assert set(copies.values()) == {1}


@pytest.mark.fault("O3", "P13")
async def test_killed_after_the_commit_and_before_the_publish_the_next_start_sends_all_once(
    broker: Broker, tmp_path: Path
) -> None:
    await bind(broker.uri, "kept", KEPT)

    returned = await crashed(broker.uri, tmp_path, "O3")

    assert returned == ids(0, COUNT)
    assert await broker.messages("kept") == 0
    copies = await arrived(broker, tmp_path, returned)
    assert set(copies.values()) == {1}


@pytest.mark.fault("O4", "P13")
async def test_killed_after_the_write_to_the_socket_it_sends_all_again(
    broker: Broker, tmp_path: Path
) -> None:
    await bind(broker.uri, "kept", KEPT)

    returned = await crashed(broker.uri, tmp_path, "O4")

    assert returned == ids(0, COUNT)
    copies = await arrived(broker, tmp_path, returned)
    assert max(copies.values()) <= 2


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("O4 confirmed", marks=pytest.mark.fault("O4", "P13")),
        pytest.param("O5", marks=pytest.mark.fault("O5", "P14")),
    ],
)
async def test_killed_before_a_confirmed_event_is_removed_it_is_sent_twice_with_one_id(
    broker: Broker, tmp_path: Path, point: str
) -> None:
    await bind(broker.uri, "kept", KEPT)

    returned = await crashed(broker.uri, tmp_path, point)

    assert returned == ids(0, COUNT)
    copies = await arrived(broker, tmp_path, returned)
    assert copies["e0"] == 2
    assert max(copies.values()) == 2


@pytest.mark.fault("O6")
@pytest.mark.parametrize("heals", [True, False], ids=["the disk heals", "killed and started again"])
async def test_while_nothing_can_be_removed_few_are_sent_twice(
    broker: Broker, tmp_path: Path, *, heals: bool
) -> None:
    """The relay goes on until MOST_UNREMOVED, then it stops: each would come once more."""
    await bind(broker.uri, "kept", KEPT)

    async with program(broker.uri, tmp_path, KEPT, at="O6", count=COUNT) as running:
        await running.says("stopped")
        sent = await broker.messages("kept")
        if heals:
            (tmp_path / HEALED).touch()
            assert await running.ends() == 0

    assert MOST_UNREMOVED < sent < COUNT
    assert running.returned == ids(0, COUNT)
    copies = await arrived(broker, tmp_path, running.returned)
    if heals:
        assert set(copies.values()) == {1}
    assert max(copies.values()) <= 2


@pytest.mark.fault("O7", "P9")
async def test_what_is_refused_stays_or_is_set_aside_and_holds_nobody_up(
    broker: Broker, tmp_path: Path
) -> None:
    """Given a full queue, and a type that the user may not publish, which ends the channel."""
    full, secret = "order.full", "order.secret"
    await bind(broker.uri, "kept", KEPT)
    await bind(broker.uri, "full", full, ("x-max-length", 1), ("x-overflow", "reject-publish"))
    uri = await broker.create_user()
    await broker.allow_topics(uri, "events", write=r"^order\.(kept|full)$")
    types = (KEPT, full, secret)
    kept_ids, full_ids, secret_ids = (
        {f"e{number}" for number in range(n, 60, 3)} for n in range(3)
    )

    async with program(uri, tmp_path, *types, at="O7", count=60) as running:
        await running.says("all")
        await until(lambda: len(set_aside(tmp_path)) == 20, what="the secret ones are set aside")
        await until(lambda: full_ids > set(waiting(tmp_path)), what="all others are sent")
        await running.kill()

    held = set(waiting(tmp_path))
    aside = set_aside(tmp_path)
    assert held
    assert set(aside) == secret_ids
    assert all(secret in reason for reason in aside.values())
    assert set(await copies_in(broker, "kept")) == kept_ids

    assert set(await copies_in(broker, "full")) | held == full_ids
    async with program(uri, tmp_path, *types) as again:
        assert await ids_in(broker.uri, "full", len(held)) == held
        assert await again.ends() == 0

    assert set_aside(tmp_path) == aside
