"""The outbox on disk against a model, through any sequence of calls, commits, and crashes."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.errors import BrokerUnavailable, InvalidEvent
from producer.outbox import journal, sqlite
from producer.outbox.entry import Entry
from producer.outbox.marks import Mark
from producer.outbox.opening import open_file
from producer.outbox.sqlite import SqliteOutbox
from support.outbox_running import NEVER, QUOTA, on_disk, publishing

T = TypeVar("T")


class OutboxMachine(RuleBasedStateMachine):
    """`safe` events are promised; `owed` are accepted, and neither confirmed nor given up.

    Nothing runs in the background: a commit and a reading happen when a rule says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "outbox.db"
        self.count = 0
        self.owed: dict[str, int] = {}
        """Accepted and not over, by name, with their order."""
        self.promised: set[str] = set()
        """Of these, the ones whose bringer heard that they are safe."""
        self.refused: set[str] = set()
        self.entries: dict[str, Entry] = {}
        self.taken: dict[str, Entry] = {}
        self.marks = [0]
        self.noted = 0
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def _open(self) -> None:
        self.outbox = SqliteOutbox(open_file(self.path, quota=QUOTA), patience=NEVER)

    def note_safe(self) -> None:
        for name, entry in self.entries.items():
            if name in self.owed and entry.safe.done() and entry.safe.result() is None:
                self.promised.add(name)

    @rule(many=st.integers(1, 6))
    def append(self, many: int) -> None:
        for _ in range(many):
            self.count += 1
            name = f"t{self.count}"
            self.entries[name] = self.run(self.outbox.append(publishing(self.count)))
            self.owed[name] = self.count

    @rule()
    def append_with_a_mark(self) -> None:
        self.count += 2
        both = [publishing(self.count - 1), publishing(self.count)]
        self.run(self.outbox.append_with(both, Mark("cursor", str(self.count))))
        self.owed |= {f"t{self.count - 1}": self.count - 1, f"t{self.count}": self.count}

    @rule()
    def note(self) -> None:
        async def work() -> None:
            self.outbox.note(Mark("tick", str(self.count)))

        self.run(work())
        self.noted = self.count

    @rule()
    def patience_is_over(self) -> None:
        async def work() -> None:
            self.outbox._write_late(self.outbox._unsafe.entries())

        self.run(work())

    @rule()
    def commit(self) -> None:
        self.run(self.outbox._journal.write())
        self.note_safe()

    @rule()
    def read(self) -> None:
        self.run(self.outbox._read())

    @precondition(lambda self: self.outbox._here.untaken or self.outbox._here._given_back)
    @rule(most=st.integers(1, 5))
    def take(self, most: int) -> None:
        free = [name for name in self.owed if name not in self.taken]
        taken = self.run(self.outbox.take(most))
        names = [entry.publishing.routing_key for entry in taken]
        assert names == sorted(free, key=self.owed.__getitem__)[: len(names)], "the oldest first"
        for entry in taken:
            self.taken[entry.publishing.routing_key] = entry
            entry.sent_at = 1.0

    @precondition(lambda self: self.taken)
    @rule(which=st.integers(0, 100), end=st.sampled_from(["confirm", "give back", "refuse"]))
    def answered(self, which: int, end: str) -> None:
        name = sorted(self.taken)[which % len(self.taken)]
        entry = self.taken.pop(name)

        async def work() -> None:
            if end == "confirm":
                self.outbox.confirm(entry)
            elif end == "refuse":
                self.outbox.refuse(entry, InvalidEvent("no"))
            else:
                entry.sent_at = None
                self.outbox.give_back(entry)

        self.run(work())
        if end != "give back":
            del self.owed[name]
            self.promised.discard(name)
        if end == "refuse":
            self.refused.add(name)

    @precondition(lambda self: self.entries)
    @rule(which=st.integers(0, 100))
    def give_up(self, which: int) -> None:
        name = sorted(self.entries)[which % len(self.entries)]
        if name in self.owed and name not in self.taken:
            entry = self.entries[name]

            async def work() -> None:
                self.outbox.withdraw(entry)

            self.run(work())
            if entry.over:
                assert name not in self.promised
                del self.owed[name]

    @rule(in_good_order=st.booleans())
    def end_and_start_again(self, *, in_good_order: bool) -> None:
        async def work() -> None:
            if in_good_order:
                await self.outbox.close(BrokerUnavailable("ended"))
            else:
                self.outbox._journal._thread.shutdown()
                self.outbox._journal._file.close()

        self.run(work())
        if in_good_order:
            self.note_safe()
        kept = on_disk(self.path)
        numbers = [int(name[1:]) for name in kept]
        assert numbers == sorted(set(numbers)), "in the order of acceptance, each once"
        assert self.promised <= set(kept), "what was promised is there"
        if in_good_order:
            # An event confirmed before it reached the disk is not there, and none that is over.
            assert set(kept) == set(self.owed)
        self.taken.clear()
        self.entries.clear()
        self.owed = {name: int(name[1:]) for name in kept}
        self.promised = set(kept)
        self.run(self._open())
        assert self.outbox.depth == len(kept)
        assert int(self.outbox.noted("tick") or 0) <= self.noted

    @invariant()
    def counts_are_right(self) -> None:
        assert self.outbox.depth == len(self.owed)
        assert self.promised <= set(self.owed)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.outbox._here) <= sqlite.MOST_HERE

    def teardown(self) -> None:
        self.run(self.outbox.close(BrokerUnavailable("ended")))
        self.runner.close()
        self.folder.cleanup()


def test_the_outbox_agrees_with_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given bounds so small that the tail on disk and the room in memory matter."""
    monkeypatch.setattr(sqlite, "MOST_HERE", 6)
    monkeypatch.setattr(sqlite, "LOW", 3)
    monkeypatch.setattr(journal, "MOST_AT_ONCE", 4)

    run_state_machine_as_test(
        OutboxMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
