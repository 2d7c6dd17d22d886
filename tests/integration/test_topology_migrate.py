"""`tidings topology migrate`: a group moves to another home while events come without pause."""

import asyncio
import signal

import pytest

from common.errors import TopologyMismatch
from common.group_topology import group_topology
from common.homes import Home, home_of
from ops.management import Management
from support.broker import Broker
from support.command import Command, running, tidings
from support.moving import TYPES, handling, move, publishing
from support.names import Names
from support.services import broker_connection, consuming, drained, emit
from support.waiting import until
from tidings import Context, Event, RetryPolicy, handler

LAG = 6.0
"""Quorum queues tell their numbers every 5 s; these brokers collect them every second."""
STEPS = ("made", "bound", "unbound", "deleted")


def home(names: Names, name: str) -> Home:
    count = int(name.removeprefix("key")) if name.startswith("key") else 0
    order = {"any": "any", "fifo": "fifo"}.get(name, "key")
    return home_of(names.group, order, count)  # type: ignore[arg-type]


async def settle_in(broker: Broker, old: Home) -> None:
    """Make a group that lives in `old`."""
    async with broker_connection(broker.uri) as connection:
        whole = group_topology(old.group, TYPES, longest_delay=2, home=old)
        await connection.ensure(whole, "declare")


async def lives_only_in(broker: Broker, target: Home, *, longest_delay: float = 2) -> None:
    """Fail unless the broker has what a group in `target` needs, and nothing else."""
    found = await asyncio.to_thread(Management(broker.management_uri, broker.uri).found)
    wanted = group_topology(target.group, TYPES, longest_delay=longest_delay, home=target)
    assert set(found.queues) == {one.name for one in wanted.queues}
    own = {name for name in found.exchanges if name and not name.startswith("amq.")}
    assert own == {one.name for one in wanted.exchanges}
    bound = {(one.exchange, one.queue, one.key) for one in found.bindings}
    assert bound == {(one.exchange, one.queue, one.key) for one in wanted.bindings}


class Stopping:
    """What `migrate` says; its old consumers can wait until they are asked to stop."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    @property
    def asks_to_stop(self) -> bool:
        return any("stop its consumers now" in line for line in self.lines)


@pytest.mark.parametrize(("before", "after"), [("any", "fifo"), ("key4", "key8")])
async def test_each_event_is_handled_once_and_those_of_the_old_home_came_first(
    broker: Broker, names: Names, before: str, after: str
) -> None:
    old, new = home(names, before), home(names, after)
    await settle_in(broker, old)
    said = Stopping()
    async with publishing(broker.uri) as publisher:
        async with handling(broker.uri, old) as first, asyncio.TaskGroup() as tasks:
            tasks.create_task(move(broker, new, said, lag=LAG))
            await until(lambda: said.asks_to_stop, within=60, what="the old home is empty")
            await first.end()
        handled_before = publisher.count
    async with handling(broker.uri, new, retries=False) as second:
        total = publisher.count
        await until(lambda: len(first.numbers) + len(second.numbers) >= total)

    assert sorted([*first.numbers, *second.numbers]) == list(range(total))
    assert max(first.numbers) < min(second.numbers) < handled_before
    assert len(first.numbers) > 10
    await lives_only_in(broker, new)


class CtrlC(Exception):
    """Somebody interrupts it after a step."""


@pytest.mark.parametrize(("before", "after"), [("key4", "any")])
async def test_interrupted_after_each_step_and_run_again_it_loses_and_doubles_nothing(
    broker: Broker, names: Names, before: str, after: str
) -> None:
    old, new = home(names, before), home(names, after)
    await settle_in(broker, old)
    steps: list[str] = []
    said = Stopping()

    def say(line: str) -> None:
        said(line)
        if line.startswith(STEPS):
            steps.append(line)
            raise CtrlC

    async def with_interruptions() -> None:
        while True:
            try:
                await move(broker, new, say, lag=0)
            except CtrlC:
                continue
            return

    async with (
        publishing(broker.uri) as publisher,
        handling(broker.uri, old, retries=False) as first,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(with_interruptions())
        await until(lambda: said.asks_to_stop, within=60, what="the old home is empty")
        await first.end()
    async with handling(broker.uri, new, retries=False) as second:
        total = publisher.count
        await until(lambda: len(first.numbers) + len(second.numbers) >= total)

    assert sorted([*first.numbers, *second.numbers]) == list(range(total))
    assert max(first.numbers) < min(second.numbers)
    assert len(steps) == len(set(steps)), "no step was done twice"
    await lives_only_in(broker, new)


async def line_with(command: Command, text: str) -> str:
    """Read what a command says until a line has this text."""
    assert command.process.stderr is not None
    async with asyncio.timeout(60):
        while line := (await command.process.stderr.readline()).decode():
            if text in line:
                return line
    return pytest.fail(f"the command ended without saying: {text}")


async def test_the_command_says_what_is_left_stops_at_ctrl_c_and_goes_on_when_run_again(
    broker: Broker, names: Names
) -> None:
    old, new = home(names, "any"), home(names, "fifo")
    await settle_in(broker, old)
    await emit(broker.uri, TYPES[0], 1, 2, 3)
    settings = {
        "GROUP": names.group,
        "ORDER": "fifo",
        "MANAGEMENT_URI": broker.management_uri,
    }
    async with running(broker.uri, "topology", "migrate", **settings) as command:
        line = await line_with(command, f"3 in {names.group}")
        assert "nobody consumes" in line
        assert "TIDINGS_ORDER=any" in line
        command.process.send_signal(signal.SIGINT)
        said = await command.end()
    assert said.code == 130
    assert "run it again" in said.err
    await drained(broker.uri, names.group, 3)

    again = await tidings(broker.uri, "topology", "migrate", **settings)

    assert again.code == 0, again.err
    assert "start its consumers with TIDINGS_ORDER=fifo" in again.err
    await lives_only_in(broker, new, longest_delay=3600)
    once_more = await tidings(broker.uri, "topology", "migrate", **settings)
    assert once_more.code == 0
    assert f"group '{names.group}' lives in the order 'fifo' already" in once_more.err


async def test_real_consumers_move_old_ones_may_start_meanwhile_and_new_ones_only_after(
    broker: Broker, names: Names
) -> None:
    attempts: list[tuple[str, int]] = []
    old, new = home(names, "any"), home(names, "fifo")
    said = Stopping()

    @handler(TYPES[0], retry=RetryPolicy(attempts=3, first_delay=0.5))
    async def charge(event: Event, ctx: Context) -> None:
        attempts.append((event.id, ctx.attempt))
        if ctx.attempt == 1 and event.id.startswith("before"):
            raise ValueError("the first time")

    async with asyncio.TaskGroup() as tasks:
        async with consuming(broker.uri, names.group, charge):
            await emit(broker.uri, TYPES[0], *range(5), prefix="before")
            tasks.create_task(move(broker, new, said, lag=LAG))
            switch = f"unbound {names.group}.to-fifo -> {names.group}  #"
            await until(lambda: switch in said.lines)
            await emit(broker.uri, TYPES[0], *range(5), prefix="after")

            async with consuming(broker.uri, names.group, charge):
                with pytest.raises(ExceptionGroup) as refused:
                    async with consuming(broker.uri, names.group, charge, order="fifo"):
                        """It does not start."""
                await until(lambda: said.asks_to_stop, within=60, what="the old home is empty")
        before = [(f"before{number}", attempt) for number in range(5) for attempt in (1, 2)]
        assert sorted(attempts) == before
    async with consuming(broker.uri, names.group, charge, order="fifo"):
        await until(lambda: len(attempts) == 15)

    assert attempts[10:] == [(f"after{number}", 1) for number in range(5)]
    remains = f"still moving here, to the order 'fifo': {old.entrance_said} remains"
    assert refused.group_contains(TopologyMismatch, match=remains)


async def test_without_the_management_api_the_command_says_what_it_needs(
    broker: Broker, names: Names
) -> None:
    said = await tidings(broker.uri, "topology", "migrate", GROUP=names.group, ORDER="fifo")

    assert said.code == 78
    (line,) = said.err.splitlines()
    assert "TIDINGS_MANAGEMENT_URI" in line
