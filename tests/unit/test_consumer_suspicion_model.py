"""Suspicion against a model of the broker's queues, through deaths, lost connections and drains.

One event is followed. What the consumer does with it is what `process.py` does, by the functions
that decide; what the broker counts is what 4.3, and what brokers before it, count.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consumer.failure import Cause, Failure
from consumer.outcome import Attempt, Isolate, Release
from consumer.policy import decide
from consumer.retrying import RetryPolicy
from consumer.suspicion import (
    UNCOUNTED_NACKS,
    Version,
    alone,
    handed_back,
    returns_of,
    suspected,
)

FORGED = [None, 0, 1, 99, -1, "abc", True, 10**9]


class Stored:
    """The message as the broker has it, in the group's own queue or in that of the suspects."""

    def __init__(self, *, alone: bool, deaths: int = 0, header: object = None) -> None:
        self.alone = alone
        self.deaths = deaths
        """Our header, which a sender may write too."""
        self.header = header
        """`x-delivery-count`: before the broker has written it, the sender's."""
        self.redelivered = False
        self.count = 0

    def returned(self, *, counted: bool) -> None:
        self.redelivered = True
        if counted:
            self.count += 1
            self.header = self.count


class SuspicionMachine(RuleBasedStateMachine):
    """`held`: a process has it; `runs`: and its handler has begun; `over`: what became of it."""

    version: Version = UNCOUNTED_NACKS
    poison = False

    def __init__(self) -> None:
        super().__init__()
        self.message = Stored(alone=False)
        self.held = self.runs = False
        self.over = ""
        self.deaths = 0
        """Processes that ended by it."""
        self.ends_alone = 0
        """Times that its process, or the connection of that, ended while it was alone there."""

    @initialize(header=st.sampled_from(FORGED), deaths=st.integers(0, 9))
    def sent(self, header: object, deaths: int) -> None:
        self.message = Stored(alone=False, deaths=deaths, header=header)
        if self.version < UNCOUNTED_NACKS:
            self.message.header = 0  # they write it at once, over what the sender wrote

    @precondition(lambda self: not self.over and not self.held)
    @rule()
    def deliver(self) -> None:
        """As `Process._suspicion`: run it, or copy it to where it goes, or set it aside."""
        message = self.message
        self.held = True
        if not message.redelivered:
            return
        returns = returns_of(message.header, redelivered=message.redelivered)
        if not message.alone:
            if suspected(returns, self.version):
                outcome = decide(RetryPolicy(), Attempt(0), Failure(Cause.SUSPECT), roll=0.5)
                assert isinstance(outcome, Isolate)
                self.copy(outcome)
            return
        found = alone(message.deaths, returns)
        if isinstance(found, Isolate):
            self.copy(found)
        elif isinstance(found, Failure):
            assert found.cause is Cause.CRASHED
            self.over, self.held = "crashed", False

    def copy(self, to: Isolate) -> None:
        """A copy has no header but ours; the broker begins to count anew."""
        self.message = Stored(alone=True, deaths=to.deaths)
        self.held = False

    @precondition(lambda self: self.held and not self.runs)
    @rule()
    def begin(self) -> None:
        self.runs = True
        if self.poison:
            self.deaths += 1
            self.lose()

    @precondition(lambda self: self.runs)
    @rule()
    def handle(self) -> None:
        self.over, self.held, self.runs = "handled", False, False

    @precondition(lambda self: self.held)
    @rule()
    def lose(self) -> None:
        """The connection goes, or the process with it, of whatever: the broker cannot tell."""
        self.ends_alone += self.message.alone
        self.message.returned(counted=True)
        self.held = self.runs = False

    @precondition(lambda self: self.held and not self.message.alone)
    @rule()
    def hand_back(self) -> None:
        """A drain, of what waits or of what did not finish."""
        self.message.returned(counted=self.version < UNCOUNTED_NACKS)
        self.held = self.runs = False

    @precondition(lambda self: self.runs and self.message.alone)
    @rule()
    def hand_back_a_suspect(self) -> None:
        outcome = handed_back(self.message.deaths, self.version)
        if isinstance(outcome, Release):
            self.message.returned(counted=self.version < UNCOUNTED_NACKS)
        else:
            assert isinstance(outcome, Isolate)
            self.message = Stored(alone=True, deaths=outcome.deaths)
        self.held = self.runs = False

    @precondition(lambda self: self.over)
    @rule(header=st.sampled_from(FORGED), deaths=st.integers(0, 9))
    def another(self, header: object, deaths: int) -> None:
        self.over, self.deaths, self.ends_alone = "", 0, 0
        self.sent(header, deaths)

    @invariant()
    def nobody_dies_who_was_not_alone_in_three_that_ended(self) -> None:
        if self.over == "crashed":
            assert self.ends_alone >= 3

    @invariant()
    def a_poison_kills_few(self) -> None:
        if self.poison:
            assert self.deaths <= (2 + 3 if self.version >= UNCOUNTED_NACKS else 5 + 3)


@pytest.mark.parametrize("poison", [False, True], ids=["innocent", "poison"])
@pytest.mark.parametrize("version", [(4, 3), (4, 2), (3, 10)], ids=["4.3", "4.2", "3.10"])
def test_only_what_ends_three_processes_alone_is_set_aside_and_poison_soon_is(
    *, version: Version, poison: bool
) -> None:
    machine = type("Machine", (SuspicionMachine,), {"version": version, "poison": poison})

    run_state_machine_as_test(
        machine, settings=settings(max_examples=100, stateful_step_count=50, deadline=None)
    )


@pytest.mark.parametrize("version", [(4, 3), (4, 2), (3, 10)], ids=["4.3", "4.2", "3.10"])
def test_a_poison_that_always_runs_ends_as_crashed_after_just_so_many_deaths(
    version: Version,
) -> None:
    machine = SuspicionMachine()
    machine.version, machine.poison = version, True
    machine.sent(None, 0)
    while not machine.over:
        machine.deliver()
        if machine.held:
            machine.begin()

    assert machine.over == "crashed"
    assert machine.deaths == (2 + 3 if version >= UNCOUNTED_NACKS else 5 + 3)
