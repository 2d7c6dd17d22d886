"""The lanes against what they promise, through any sequence of calls."""

from collections.abc import Sized

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

from consumer.lanes import (
    HIGHEST_PRIORITY,
    LONGEST_WAIT,
    NORMAL_PRIORITY,
    SECONDS_PER_LEVEL,
    ByKey,
    Highest,
    InArrival,
    Newest,
    Waiting,
)

numbers = st.integers(0, 99)
some = st.frozensets(st.integers(0, 6), max_size=4)


def remains(lanes: Sized) -> int:
    """Count what lies in whatever they keep things in."""
    parts = [value for value in vars(lanes).values() if isinstance(value, Sized)]
    return len(lanes) + sum(map(len, parts))


class Job:
    def __init__(
        self,
        number: int,
        *,
        at: float = 0,
        priority: int | None = None,
        key: str = "",
        alone: bool = False,
    ) -> None:
        self.number = number
        self.at = at
        self.level = NORMAL_PRIORITY if priority is None else min(priority, HIGHEST_PRIORITY)
        self.priority = priority
        self.key = key
        self.alone = alone

    def among(self, gone: frozenset[int]) -> bool:
        return self.number % 7 in gone


class ArrivalMachine(RuleBasedStateMachine):
    """`waiting`: in the order of arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.waiting: list[Job] = []
        self.offered = 0
        self.lanes = self.made()

    def made(self) -> Waiting[Job]:
        return InArrival[Job]()

    def right(self, job: Job) -> bool:
        """Say whether that, of all that wait, is the next."""
        return job is self.waiting[0]

    @rule(priorities=st.lists(st.sampled_from([None, 0, 1, 4, 5, 30, 31, 40, 255]), max_size=4))
    def offer(self, priorities: list[int | None]) -> None:
        for priority in priorities:
            job = Job(self.offered, at=self.now, priority=priority)
            self.offered += 1
            self.lanes.offer(job)
            self.waiting.append(job)

    @rule(seconds=st.sampled_from([0.5, 1, 3, 20, 30.5, LONGEST_WAIT]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        job = self.lanes.take()
        if job is None:
            assert not self.waiting
        else:
            assert job in self.waiting
            assert self.right(job)
            self.waiting.remove(job)

    @rule(gone=some)
    def forget(self, gone: frozenset[int]) -> None:
        left = [job for job in self.waiting if not job.among(gone)]
        assert self.lanes.forget(lambda job: job.among(gone)) == len(self.waiting) - len(left)
        self.waiting = left

    @invariant()
    def as_many_wait_as_were_offered_and_neither_taken_nor_forgotten(self) -> None:
        assert len(self.lanes) == len(self.waiting)

    def teardown(self) -> None:
        """Nothing is left behind when all is resumed and done."""
        while self.waiting:
            before = len(self.waiting)
            self.take()
            assert len(self.waiting) == before - 1
        assert self.lanes.take() is None
        assert remains(self.lanes) == 0


class NewestMachine(ArrivalMachine):
    def made(self) -> Waiting[Job]:
        return Newest[Job](lambda: self.now)

    def right(self, job: Job) -> bool:
        for_long = [one for one in self.waiting if self.now - one.at >= LONGEST_WAIT]
        return job is (for_long[0] if for_long else self.waiting[-1])


class HighestMachine(ArrivalMachine):
    def made(self) -> Waiting[Job]:
        return Highest[Job](lambda: self.now, lambda job: job.priority)

    def right(self, job: Job) -> bool:
        """Say whether nothing that stays was to go before: nothing by its level, nor by its age."""
        place = self.waiting.index(job)
        for other in self.waiting[:place]:
            later = (job.at - other.at) / SECONDS_PER_LEVEL
            assert later < HIGHEST_PRIORITY, "it starved"
            if job.level - other.level <= later:
                return False
        return all(
            other.level - job.level <= (other.at - job.at) / SECONDS_PER_LEVEL
            for other in self.waiting[place + 1 :]
        )


class ByKeyMachine(RuleBasedStateMachine):
    """`waiting`: of each key what does not run, in order; the first of it may be `held`."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = ByKey[Job](lambda job: job.key, lambda job: job.alone)
        self.jobs: list[Job] = []
        self.waiting: dict[str, list[Job]] = {key: [] for key in "abcd"}
        self.running: list[Job] = []
        self.held: list[Job] = []
        self.resumed: list[str] = []
        """Keys of what was resumed and did not start since: the last is the next."""
        self.before: dict[str, int] = {}
        """Of each key that may start, how many others may still start before."""
        self.quiet = False
        """One that must be alone waits for what runs."""

    def seen(self) -> None:
        """Learn which keys may start now; one that could not is behind those that could."""
        busy = {job.key for job in self.running}
        ready = {
            key
            for key, jobs in self.waiting.items()
            if jobs and key not in busy and jobs[0] not in self.held
        }
        self.before = {
            key: self.before.get(key, len(ready) - 1) for key in self.waiting if key in ready
        }
        self.resumed = [key for key in self.resumed if key in ready]

    @rule(keys=st.lists(st.sampled_from("abcdabcdABCD"), min_size=1, max_size=4))
    def offer(self, keys: list[str]) -> None:
        """Those in capitals must be alone."""
        for key in keys:
            job = Job(len(self.jobs), key=key.lower(), alone=key.isupper())
            self.lanes.offer(job)
            self.jobs.append(job)
            self.waiting[job.key].append(job)
            self.seen()

    @rule()
    def take(self) -> None:
        job = self.lanes.take()
        solo = any(one.alone for one in self.running)
        if job is None:
            firsts = [self.waiting[key][0] for key in self.before]
            self.quiet = not solo and bool(firsts)
            assert not self.quiet or (self.running and any(one.alone for one in firsts))
            return
        assert job.key in self.before, "its key is busy or held"
        assert job is self.waiting[job.key].pop(0), "it is not the first of its key"
        assert not solo
        assert not (self.running and (job.alone or self.quiet))
        assert not self.resumed or job.key == self.resumed.pop()
        self.quiet = False
        self.running.append(job)
        self.before = {key: left - 1 for key, left in self.before.items() if key != job.key}
        assert min(self.before.values(), default=0) >= 0, "another key has lost its turn"
        self.seen()

    @precondition(lambda self: self.running)
    @rule(which=numbers)
    def done(self, which: int) -> None:
        job = self.running.pop(which % len(self.running))
        self.lanes.done(job)
        self.seen()

    @precondition(lambda self: self.running)
    @rule(which=numbers)
    def hold(self, which: int) -> None:
        job = self.running.pop(which % len(self.running))
        self.lanes.hold(job)
        self.held.append(job)
        self.waiting[job.key].insert(0, job)
        self.seen()

    @precondition(lambda self: self.held)
    @rule(which=numbers)
    def resume(self, which: int) -> None:
        job = self.held.pop(which % len(self.held))
        self.lanes.resume(job)
        self.quiet = False
        self.before = {key: left + 1 for key, left in self.before.items()}
        self.before[job.key] = 0
        self.resumed.append(job.key)
        self.seen()

    @precondition(lambda self: self.jobs)
    @rule(which=numbers)
    def resume_what_is_not_held(self, which: int) -> None:
        job = self.jobs[which % len(self.jobs)]
        if job not in self.held:
            self.lanes.resume(job)

    @rule(gone=some)
    def forget(self, gone: frozenset[int]) -> None:
        count = len(self.lanes)
        self.waiting = {
            key: [job for job in jobs if not job.among(gone)] for key, jobs in self.waiting.items()
        }
        self.held = [job for job in self.held if not job.among(gone)]
        left = sum(map(len, self.waiting.values()))
        assert self.lanes.forget(lambda job: job.among(gone)) == count - left
        self.quiet = False
        self.seen()

    @invariant()
    def as_many_wait_and_run_as_should(self) -> None:
        assert len(self.lanes) == sum(map(len, self.waiting.values()))
        assert self.lanes.running == len(self.running)

    def teardown(self) -> None:
        """Nothing is left behind when all is resumed and done."""
        while self.held:
            self.resume(0)
        while self.running:
            self.done(0)
        while any(self.waiting.values()):
            self.take()
            assert self.running, "nothing runs, and yet nothing starts"
            while self.running:
                self.done(0)
        assert self.lanes.take() is None
        assert remains(self.lanes) == 0


@pytest.mark.parametrize(
    ("machine", "examples"),
    [
        pytest.param(ArrivalMachine, 30, id="in arrival"),
        pytest.param(NewestMachine, 50, id="the newest"),
        pytest.param(HighestMachine, 80, id="the highest"),
        pytest.param(ByKeyMachine, 120, id="by key"),
    ],
)
def test_what_is_next_is_as_promised_and_nothing_is_lost_or_left(
    machine: type[RuleBasedStateMachine], examples: int
) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=50, deadline=None)
    )
