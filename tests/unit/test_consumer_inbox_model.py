"""Both homes of the inbox against a model, through any sequence of calls, crashes and purges.

On disk two processes share the file, each with events of its own in hand.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consumer.failure import Cause, Failure
from consumer.inbox.claim import Claim, Finished, Key, judge
from consumer.inbox.memory import MemoryInbox
from consumer.inbox.sqlite import SqliteInbox
from support.inbox_machine import KEEP, KEYS, InboxMachine
from support.inboxes import made, rows

RAISED = Failure(Cause.RAISED)
EFFECTS = "SELECT source, id, count(*) FROM effects GROUP BY 1, 2"


class MemoryMachine(InboxMachine):
    def start(self) -> None:
        self.memory = MemoryInbox(keep=KEEP, clock=self.clock)

    def inbox(self, process: int) -> MemoryInbox:
        return self.memory

    def expected(self, process: int, key: Key, hop: int, body: bytes) -> set[Claim]:
        if key in self.known and self.clock.now - self.known[key][1] >= KEEP:
            del self.known[key]
        return super().expected(process, key, hop, body)

    @precondition(lambda self: any(self.held))
    @rule(which=st.integers(0, 100), done=st.booleans())
    def finish_at_once(self, which: int, *, done: bool) -> None:
        process, key = self.some_held(which)
        if done:
            assert self.memory.done(key)
        else:
            self.memory.moved(key)
        self.learn(process, key, done=done)

    @rule()
    def crash(self) -> None:
        self.known.clear()
        self.held[0].clear()
        self.own[0].clear()
        self.start()

    def teardown(self) -> None:
        self.runner.close()


class SqliteMachine(InboxMachine):
    processes = 2

    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "inbox.db"
        self.opened: list[tuple[SqliteInbox, asyncio.Task[None]]] = []
        for _ in range(self.processes):
            self.opened.append(self.run(self._open()))
        self.effects: dict[Key, int] = {}

    def inbox(self, process: int) -> SqliteInbox:
        return self.opened[process][0]

    async def _open(self) -> tuple[SqliteInbox, "asyncio.Task[None]"]:
        inbox = made(self.path, keep=KEEP, clock=self.clock)
        # The purge comes when a rule says so.
        turns = asyncio.gather(inbox._reads.run(), inbox._writes.run())
        return inbox, asyncio.ensure_future(turns)  # type: ignore[arg-type] # a future, as good here

    async def _end(self, process: int, *, in_good_order: bool) -> None:
        inbox, running = self.opened[process]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        if not in_good_order:
            inbox._writes._asked.clear()
        await inbox.close()

    @precondition(lambda self: any(self.held))
    @rule(which=st.integers(0, 100), ends_well=st.booleans())
    def transaction(self, which: int, *, ends_well: bool) -> None:
        process, key = self.some_held(which)
        hop, content = self.held[process][key]
        last = self.known.get(key)
        right = judge(None if last is None else last[0], hop, content)

        async def work() -> Claim:
            async with self.inbox(process).transaction(key) as begun:
                if begun.claim is Claim.TAKEN:
                    begun.transaction.execute("CREATE TABLE IF NOT EXISTS effects (source, id)")
                    begun.transaction.execute("INSERT INTO effects VALUES (?, ?)", key)
                    failure = await begun.end(None if ends_well else RAISED)
                    assert failure is (None if ends_well else RAISED)
                return begun.claim

        assert self.run(work()) is right
        if right is not Claim.TAKEN:
            del self.held[process][key]
        elif ends_well:
            self.learn(process, key, done=True)
            self.effects[key] = self.effects.get(key, 0) + 1

    @rule(process=st.integers(0, 1), in_good_order=st.booleans())
    def end_and_start_again(self, process: int, *, in_good_order: bool) -> None:
        self.run(self._end(process, in_good_order=in_good_order))
        self.held[process].clear()
        self.own[process].clear()
        self.opened[process] = self.run(self._open())

    @precondition(lambda self: any(self.held))
    @rule(which=st.integers(0, 100), steps=st.integers(0, 6))
    def crash_while_it_finishes(self, which: int, steps: int) -> None:
        """Then it may be kept or not; the file says which."""
        process, key = self.some_held(which)

        async def work() -> None:
            finishing = asyncio.create_task(self.inbox(process).finish(key, done=True))
            for _ in range(steps):
                await asyncio.sleep(0)
            await self._end(process, in_good_order=False)
            finishing.cancel()
            await asyncio.wait([finishing])

        self.run(work())
        if self.in_file(key) != self.known.get(key, (None,))[0]:
            self.learn(process, key, done=True)
        self.held[process].clear()
        self.own[process].clear()
        self.opened[process] = self.run(self._open())

    @rule(process=st.integers(0, 1))
    def purge(self, process: int) -> None:
        self.run(self.inbox(process)._purge.walk())
        old = [key for key, (_, at) in self.known.items() if at < self.clock.now - KEEP]
        for key in old:
            del self.known[key]

    def in_file(self, key: Key) -> Finished[bytes] | None:
        query = "SELECT source, id, hop, content, done FROM seen"
        found = {
            (one[0], one[1]): Finished(one[2], one[3], bool(one[4])) for one in self.all(query)
        }
        return found.get(key)

    def all(self, query: str) -> list[tuple[Any, ...]]:
        return rows(self.path, query)

    @invariant()
    def the_file_says_what_is_known(self) -> None:
        for key in KEYS:
            assert self.in_file(key) == self.known.get(key, (None,))[0]
        if self.effects:
            assert {(one[0], one[1]): one[2] for one in self.all(EFFECTS)} == self.effects

    def teardown(self) -> None:
        for process in range(self.processes):
            self.run(self._end(process, in_good_order=True))
        self.runner.close()
        self.folder.cleanup()


def agrees(machine: type[RuleBasedStateMachine], examples: int) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=40, deadline=None)
    )


def test_the_inbox_in_memory_agrees_with_its_model() -> None:
    agrees(MemoryMachine, 100)


def test_the_inbox_on_disk_agrees_with_its_model() -> None:
    agrees(SqliteMachine, 40)
