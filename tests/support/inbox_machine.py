"""What both homes of the inbox must say, through any sequence of calls."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.inbox.claim import Claim, Finished, Key, content_of, judge
from consumer.inbox.memory import MemoryInbox
from consumer.inbox.sqlite import SqliteInbox
from support.inboxes import Clock

KEYS: list[Key] = [("s", "1"), ("s", "2"), ("t", "1"), ("é", "\0")]
BODIES = [b"{}", b"[]"]
KEEP = 100.0

T = TypeVar("T")
keys, hops, bodies = st.sampled_from(KEYS), st.integers(0, 3), st.sampled_from(BODIES)


class InboxMachine(RuleBasedStateMachine):
    """`known` is what the inbox must say; `held` what each process has in hand."""

    processes = 1

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.known: dict[Key, tuple[Finished[bytes], float]] = {}
        self.held: list[dict[Key, tuple[int, bytes]]] = [{} for _ in range(self.processes)]
        self.own: list[dict[Key, list[tuple[Finished[bytes], float]]]] = [
            {} for _ in range(self.processes)
        ]
        """What each process has finished itself: of that it may know more than the file."""
        self.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(20):
                return await work

        return self.runner.run(bounded())

    def start(self) -> None:
        raise NotImplementedError

    def inbox(self, process: int) -> MemoryInbox | SqliteInbox:
        raise NotImplementedError

    def expected(self, process: int, key: Key, hop: int, body: bytes) -> set[Claim]:
        content = content_of(body)
        last = self.known.get(key)
        right = {judge(None if last is None else last[0], hop, content)}
        for one, at in self.own[process].get(key, []):
            young = self.clock.now - at < KEEP
            if young and judge(one, hop, content) is Claim.SEEN:
                right.add(Claim.SEEN)
        return right

    def learn(self, process: int, key: Key, *, done: bool) -> None:
        hop, content = self.held[process].pop(key)
        word = Finished(hop, content, done)
        self.own[process].setdefault(key, []).append((word, self.clock.now))
        if key in self.known:
            before, _ = self.known[key]
            if before.content != content:
                return
            word = Finished(max(hop, before.hop), content, done or before.done)
        self.known[key] = word, self.clock.now

    @rule(process=st.integers(0, 1), key=keys, hop=hops, body=bodies)
    def claim(self, process: int, key: Key, hop: int, body: bytes) -> None:
        process %= self.processes
        inbox = self.inbox(process)
        if key in self.held[process]:
            assert inbox.take(key, hop, body) is None
            return
        expected = self.expected(process, key, hop, body)
        claim = self.run(inbox.claim(key, hop, body))
        assert claim in expected
        if claim is Claim.TAKEN:
            self.held[process][key] = hop, content_of(body)

    def some_held(self, which: int) -> tuple[int, Key]:
        every = [(process, key) for process, held in enumerate(self.held) for key in held]
        return every[which % len(every)]

    @precondition(lambda self: any(self.held))
    @rule(which=st.integers(0, 100), done=st.booleans())
    def finish(self, which: int, *, done: bool) -> None:
        process, key = self.some_held(which)
        self.run(self.inbox(process).finish(key, done=done))
        self.learn(process, key, done=done)

    @precondition(lambda self: any(self.held))
    @rule(which=st.integers(0, 100))
    def forget(self, which: int) -> None:
        process, key = self.some_held(which)
        self.run(self._forget(process, key))
        del self.held[process][key]

    async def _forget(self, process: int, key: Key) -> None:
        self.inbox(process).forget(key)

    @precondition(lambda self: any(self.held))
    @rule(
        which=st.integers(0, 100), hop=hops, body=bodies, end=st.sampled_from([True, False, None])
    )
    def another_delivery_waits(self, which: int, hop: int, body: bytes, end: bool | None) -> None:  # noqa: FBT001
        process, key = self.some_held(which)
        inbox = self.inbox(process)

        async def work() -> Claim:
            second = asyncio.create_task(inbox.claim(key, hop, body))
            for _ in range(3):
                await asyncio.sleep(0)
            assert not second.done()
            if end is None:
                inbox.forget(key)
                del self.held[process][key]
            else:
                await inbox.finish(key, done=end)
                self.learn(process, key, done=end)
            return await second

        claim = self.run(work())
        assert claim in self.expected(process, key, hop, body)
        if claim is Claim.TAKEN:
            self.held[process][key] = hop, content_of(body)

    @rule(seconds=st.sampled_from([1.0, 40.0, KEEP]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def what_is_in_hand_is_there_once(self) -> None:
        for process in range(self.processes):
            assert self.inbox(process)._in_hand.held.keys() == self.held[process].keys()
