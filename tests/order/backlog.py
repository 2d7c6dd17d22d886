"""The rules of lifo and priority: what one consumer does with a backlog. Standard library only.

A backlog was published, then one consumer was started, with one handler at a time and `window`
events in hand; no faults, no failures, and nothing is published meanwhile. The broker gives out in
a known order, of which an event has its *rank*: as they were published, or where the broker
`sorts`, the higher priorities first and equal ones as published.

An event is *surely in hand* from `grace` after the first start on when its rank is below `window`,
else from `grace` after so many ends that the window has room for it (`rank - window + 1`): until
then its acks and the delivery may be underway. It is *not in hand* before that many ends.

**lifo.** `not the newest`: an event was started while another one of a higher rank was surely in
hand and had not started. But one that can have waited `longest_wait` seconds may be started where
it is the oldest.

**priority.** `behind a lower one`: an event was started while another one had not that came no
later (of a lower rank) and has the same or a higher priority. `not the highest`: an event was
started while another one had not that was surely in hand and has a priority higher by more than the
seconds that it can have come later, divided by `seconds_per_level`.

Both, as for every order: `checker.complete`, and `repeated`: an event has two runs.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from order.checker import Violation, complete
from order.history import SECOND, History, Published, Run


@dataclass(frozen=True, slots=True)
class BacklogRules:
    """What was promised; times in seconds."""

    mode: str
    window: int
    sorts: bool = False
    grace: float = 0.1
    longest_wait: float = 60.0
    seconds_per_level: float = 1.0


def check_backlog(history: History, rules: BacklogRules) -> list[Violation]:
    """Check a campaign with one consumer."""
    found = list(complete(history))
    ids = {one.id for one in history.published}
    first: dict[str, Run] = {}
    for run in history.runs:
        if run.id in first:
            found.append(Violation("repeated", run.id, f"{run} after {first[run.id]}"))
        elif run.id in ids:
            first[run.id] = run
    if first:
        look = _Backlog(history.published, list(first.values()), rules)
        found += look.newest() if rules.mode == "lifo" else look.highest()
    return found


class _Backlog:
    def __init__(
        self, published: tuple[Published, ...], runs: list[Run], rules: BacklogRules
    ) -> None:
        self._rules = rules
        self._runs = runs
        self._ends = sorted(run.close for run in runs)
        self._grace = int(rules.grace * SECOND)
        self._ranked = sorted(
            published, key=lambda one: (-one.priority if rules.sorts else 0, one.begun, one.number)
        )
        self._rank = {one.id: number for number, one in enumerate(self._ranked)}

    def newest(self) -> Iterator[Violation]:
        started: set[int] = set()
        in_hand: list[int] = []  # ranks, negated: the newest is the first
        entered = oldest = 0
        for run in self._runs:
            while entered < len(self._ranked) and self._in_hand_by(entered) <= run.start:
                heapq.heappush(in_hand, -entered)
                entered += 1
            rank = self._rank[run.id]
            while in_hand and -in_hand[0] in started:
                heapq.heappop(in_hand)
            while oldest in started:
                oldest += 1
            waited = run.start - self._not_in_hand_before(rank)
            excused = rank == oldest and waited >= self._rules.longest_wait * SECOND
            if in_hand and -in_hand[0] > rank and not excused:
                newer = self._ranked[-in_hand[0]].id
                yield Violation("not the newest", run.id, f"{newer} was in hand: {run}")
            started.add(rank)

    def highest(self) -> Iterator[Violation]:
        levels: dict[int, deque[int]] = {}
        for rank, one in enumerate(self._ranked):
            levels.setdefault(one.priority, deque()).append(rank)
        started: set[int] = set()
        for run in self._runs:
            rank, priority = self._rank[run.id], self._ranked[self._rank[run.id]].priority
            started.add(rank)
            for level, ranks in levels.items():
                while ranks and ranks[0] in started:
                    ranks.popleft()
                if not ranks or level < priority:
                    continue
                other = self._ranked[ranks[0]].id
                if ranks[0] < rank:
                    what = f"{other} came before it with priority {level}: {run}"
                    yield Violation("behind a lower one", run.id, what)
                elif self._passed_over(ranks[0], level - priority, run):
                    what = f"{other} with priority {level} was in hand: {run}"
                    yield Violation("not the highest", run.id, what)

    def _passed_over(self, other: int, levels: int, run: Run) -> bool:
        """Whether one of a later rank, so many levels above, should have been before this run."""
        sure = self._in_hand_by(other)
        if sure > run.start:
            return False
        later = (sure - self._not_in_hand_before(self._rank[run.id])) / SECOND
        return levels > later / self._rules.seconds_per_level

    def _in_hand_by(self, rank: int) -> int:
        return self._room_for(rank) + self._grace

    def _not_in_hand_before(self, rank: int) -> int:
        """Return a time before it came; the first of all have come just before the first start."""
        if rank < self._rules.window:
            return self._runs[0].start - self._grace
        return self._room_for(rank)

    def _room_for(self, rank: int) -> int:
        if rank < self._rules.window:
            return self._runs[0].start
        return self._ends[rank - self._rules.window]
