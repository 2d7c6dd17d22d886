"""`tidings topology migrate`: move a group to the home of its new order, while it runs.

Idempotent: it may be interrupted anywhere and run again. The steps follow in `ops.moves` from what
is found, when the old home is empty in `ops.emptying`; here they are carried out.
"""

import asyncio
from argparse import Namespace
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import assert_never

from common.broker import Connection, connect
from common.errors import EXIT_OK, ConfigError, TidingsError
from common.homes import Home
from common.settings import load
from common.topology import Queue, Topology, suspects_name, tier_name
from consumer.plan import home_for, registry_for, topology_for, without_leads
from consumer.settings import ConsumerSettings
from ops.command import Stop, run, say
from ops.differences import Found
from ops.emptying import LAG_SECONDS, Emptying, Reading, Stage
from ops.management import Management
from ops.moves import (
    Bind,
    Declare,
    DeleteExchange,
    DeleteQueue,
    Move,
    Step,
    Unbind,
    is_there,
    origin,
    steps_to_end,
    steps_to_target,
)
from ops.settings import OpsSettings

LOOK_SECONDS = 1.0
PROGRESS_SECONDS = 5.0


def migrate(options: Namespace) -> int:
    """Move the group to the home that the settings ask for. Raises ConfigError."""
    settings = load(ConsumerSettings, modules=tuple(options.modules) or None, group=options.group)
    management_uri = load(OpsSettings, group=options.group).management_uri
    if management_uri is None:
        raise ConfigError(
            "migrate: AMQP shows neither bindings nor what consumers hold; set "
            "TIDINGS_MANAGEMENT_URI=http://user:…@host:15672"
        )
    management = Management(management_uri.get_secret_value(), settings.uri)
    registry = registry_for(settings)
    home = home_for(settings)
    parts = without_leads(topology_for(settings, registry), home)
    # Without modules the registry is that of the built-in ticker, which is hardly meant.
    types = frozenset(registry.patterns if settings.modules else ())

    async def work(stop: Stop) -> int:
        async with connect(settings.uri, name="tidings topology migrate") as connection:
            await Mover(connection, management, say=say).move(home, parts, types, stop)
        return EXIT_OK

    return run(work)


class Mover:
    """Moves a group. `say` is called after each step, and while waiting."""

    def __init__(
        self,
        connection: Connection,
        management: Management,
        *,
        say: Callable[[str], None],
        lag: float = LAG_SECONDS,
    ) -> None:
        self._connection = connection
        self._management = management
        self._say = say
        self._lag = lag

    async def move(
        self, target: Home, parts: Topology, types: frozenset[str], stop: asyncio.Event
    ) -> None:
        """Move the group to `target`, which `parts` make, until it is done or `stop` is set.

        Raises ConfigError, BrokerUnavailable, or TidingsError when the old home is used again.
        """
        group, found = target.group, await self._found()
        old = origin(target, found)
        if old is None:
            there = is_there(target, found)
            lives = f"lives in the order '{target.name}' already" if there else "is not there yet"
            self._say(f"group '{group}' {lives}: nothing to move")
            return
        move = Move(old, target, types)
        self._say(f"group '{group}': from {old.entrance_said} to {target.entrance_said}")
        await self._connection.ensure(parts, "declare")
        await self._lead(move, stop)
        if is_there(old, found) and not stop.is_set():
            await self._until_empty(move, stop)
        if not stop.is_set():
            await self._carry_out(steps_to_end(move, await self._found()), stop)
        if stop.is_set():
            self._say("interrupted: run it again to go on where it stands")
        else:
            self._say(f"group '{group}' has moved: start its consumers with {target.asked_by}")

    async def _lead(self, move: Move, stop: asyncio.Event) -> None:
        """Lead new events to the new home, and see that nothing leads to the old one again."""
        while not stop.is_set():
            steps = tuple(steps_to_target(move, await self._found()))
            if not steps:
                return
            await self._carry_out(steps, stop)

    async def _until_empty(self, move: Move, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        emptying = Emptying(lag=self._lag)
        next_line, asked = 0.0, False
        while not stop.is_set():
            await self._lead(move, stop)
            reading = await self._read(move.old)
            now = loop.time()
            match emptying.look(reading, now):
                case Stage.EMPTY:
                    return
                case Stage.CONSUMED if not asked:
                    asked = True
                    self._say(
                        f"{move.old.entrance_said} is empty: stop its consumers now (scale them "
                        "to 0); waiting until they are gone"
                    )
                case Stage.LEFT if now >= next_line:
                    next_line, asked = now + PROGRESS_SECONDS, False
                    self._say(_progress(move.old, reading))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)

    async def _read(self, old: Home) -> Reading:
        """Look at all queues where an event of the old home can be."""
        held = await asyncio.to_thread(self._management.messages)
        group = old.group
        tiers = tier_name(group, 0).removesuffix("0s")
        queues = [*old.queue_names, suspects_name(group)]
        queues += [name for name in held if name.startswith(tiers)]
        left: dict[str, int | None] = {}
        for name in queues:
            if name in held:
                ready, known = await self._connection.depth(name), held[name]
                if ready or known != 0:
                    left[name] = max(ready, known or 0) or None
        consumers = {
            name: await self._connection.consumers(name) for name in old.queue_names if name in held
        }
        return Reading(left, consumers)

    async def _carry_out(self, steps: Iterable[Step], stop: asyncio.Event) -> None:
        for step in steps:
            if stop.is_set():
                return
            await self._do(step)
            self._say(str(step))

    async def _do(self, step: Step) -> None:
        match step:
            case Declare(topology):
                await self._connection.ensure(topology, "declare")
            case Bind(binding):
                await self._connection.ensure(Topology(bindings=(binding,)), "declare")
            case Unbind(binding):
                await asyncio.to_thread(self._management.unbind, binding)
            case DeleteQueue(name, empty):
                if empty:
                    await self._refuse_if_used(name)
                await asyncio.to_thread(self._management.delete_queue, name)
            case DeleteExchange(name):
                await asyncio.to_thread(self._management.delete_exchange, name)
            case _:
                assert_never(step)

    async def _refuse_if_used(self, queue: str) -> None:
        """Raise TidingsError where a queue is not empty: a quorum queue's delete does not ask."""
        if not await self._connection.exists(Queue(queue)):
            return
        held = (await asyncio.to_thread(self._management.messages)).get(queue)
        ready = await self._connection.depth(queue)
        consumers = await self._connection.consumers(queue)
        if held or ready or consumers:
            raise TidingsError(
                f"queue '{queue}' is used again: {max(held or 0, ready)} messages, {consumers} "
                "consumers; run `tidings topology migrate` once more"
            )

    async def _found(self) -> Found:
        return await asyncio.to_thread(self._management.found)


def _progress(old: Home, reading: Reading) -> str:
    line = f"waiting until the old home is empty: {reading}"
    if reading.unattended:
        line += (
            f"; nobody consumes {', '.join(reading.unattended)}: start a consumer with the old "
            f"{old.asked_by}"
        )
    return line
