"""Whether what handlers did was in order. Shares no code with the product: standard library only.

`check(history, rules)` returns a `Report`: violations, and counts of what is allowed. The rules:

**Every order.** `lost`: an event was confirmed to its publisher, and neither did a run of it end
nor does it lie among the dead letters. `unexpected`: a run, or a dead letter, of what was never
published. `altered`: a run saw another key, number or priority than was published. `given up`: a
dead letter of an event that no handler has rejected. `unfinished`: a run has neither an end nor the
death of its process. `repeated`: a run began after another run of the event had ended or had
rejected it, and nothing explains it: see below.

**fifo and key, stop.** The lane is the whole group or one key; n < m are two of its events in the
order they were published in.
- `order`: m was started before a run of n had ended or rejected it. One violation for each n.
- `backwards`: a process started n after m, without a loss of its connection between the two starts.
  So where events are repeated they are repeated in order, but for those that may be stored twice.
- `too far back`: n was repeated when an event `window` or more places behind it had begun already:
  a consumer has so many in hand at most, so n must have been settled before.
- `overlap`: a run began before an earlier one of its lane was over. A run ends with its own line,
  or with the death of its process.

**fifo and key, skip.** The same, but an event has stepped aside with its first failure: for those
behind it that is as good as its end, and where and when it comes again is not looked at. It may not
overlap all the same.

**any, lifo, priority, with faults.** Nothing more: among several consumers, or with redeliveries,
no order is promised. `backlog.py` has what lifo and priority promise of one consumer's hand.

What is allowed, and counted:
- A *repetition*. Delivery is at least once: the ack of an event that has ended may be lost with its
  connection, or with the process. So a repetition is explained by a *loss* after the start of the
  run before it (its connection may have been gone `unaware` seconds earlier already) and before its
  own start: the death by `kill -9` of the process of that run, a cut of all connections, a restart
  of the broker. A graceful stop explains nothing: its acks are flushed. It is also explained by a
  cut or a restart between the publishing and the confirm of the event: then it may be stored twice,
  with those published after it between the two: the second may come to a process that began there.
  Where events move between queues (any, lifo, priority: retries; skip: what has stepped aside) the
  ack of the original may be lost long before the copy is handled: there each earlier loss explains.
- An *overlap of a lost connection*. A handler goes on when its connection is lost, and the broker
  gives the event to another process, which cannot know. So two runs in different processes may
  overlap when a cut or a restart lies after the start of the earlier one (less `unaware`) and
  before that of the later one. Inside one process this is never allowed: it knows what it runs.

What cannot be seen from outside is not checked: whether the ack of what was repeated was lost.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from order.history import EVERYBODY, NEVER, OUT, SECOND, History, Loss, Published, Run

ORDERED = ("fifo", "key")


@dataclass(frozen=True, slots=True)
class Rules:
    """What was promised. `window`: of one queue; `unaware`: seconds."""

    mode: str
    on_retry: str = "stop"
    window: int = 100
    unaware: float = 5.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: which, of what event, and the facts in a line."""

    kind: str
    id: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.id}: {self.what}"


@dataclass(slots=True)
class Report:
    """What was found."""

    violations: list[Violation] = field(default_factory=list)
    allowed: Counter[str] = field(default_factory=Counter)

    @property
    def kinds(self) -> set[str]:
        """The kinds of violations there are."""
        return {one.kind for one in self.violations}


def check(history: History, rules: Rules) -> Report:
    """Check a whole campaign."""
    report = Report()
    report.violations += complete(history)
    look = _Look(history, rules, report)
    look.repetitions()
    if rules.mode in ORDERED:
        lanes = _lanes(history, by_key=rules.mode == "key")
        for published, runs in lanes:
            look.lane(published, runs)
    return report


def complete(history: History) -> Iterator[Violation]:
    """Yield what is lost, and what was never published or not like that."""
    published = {one.id: one for one in history.published}
    ended = {run.id for run in history.runs if run.how == "end"}
    rejected = {run.id for run in history.runs if run.how == "reject"}
    for one in history.published:
        if one.stored != NEVER and one.id not in ended and one.id not in history.dead:
            yield Violation("lost", one.id, f"confirmed at {one.stored}, never handled to its end")
    for id_ in sorted(history.dead):
        if id_ not in published:
            yield Violation("unexpected", id_, "a dead letter of what was never published")
        elif id_ not in rejected:
            yield Violation("given up", id_, "a dead letter that no handler asked for")
    for run in history.runs:
        sent = published.get(run.id)
        if sent is None:
            yield Violation("unexpected", run.id, f"handled, never published: {run}")
        elif (run.key, run.number, run.priority) != (sent.key, sent.number, sent.priority):
            yield Violation("altered", run.id, f"{run} is not what was sent: {sent}")
        if run.how == "open":
            yield Violation("unfinished", run.id, f"no end and no death: {run}")


class _Look:
    """One look at a history by one set of rules."""

    def __init__(self, history: History, rules: Rules, report: Report) -> None:
        self._history = history
        self._rules = rules
        self._report = report
        self._unaware = int(rules.unaware * SECOND)
        self._skips = rules.mode in ORDERED and rules.on_retry == "skip"
        self._everybodys = [one for one in history.losses if one.process == EVERYBODY]
        self._aside: dict[str, int] = {}
        """When an event has failed for the first time; only with `skip`."""
        self._repeated: set[Run] = set()
        self._stored_twice: set[Run] = set()
        """Repetitions that follow from a loss while their event was published."""
        if self._skips:
            for run in history.runs:
                if run.how == "raise":
                    self._aside[run.id] = min(run.close, self._aside.get(run.id, NEVER))

    def repetitions(self) -> None:
        """Look for runs after the event was out, and for what explains them."""
        published = {one.id: one for one in self._history.published}
        before: defaultdict[str, list[Run]] = defaultdict(list)
        for run in self._history.runs:
            earlier = before[run.id]
            if any(one.how in OUT and one.close < run.start for one in earlier):
                self._repeated.add(run)
                if (sent := published.get(run.id)) and self._unsure(sent):
                    self._stored_twice.add(run)
                if self._explained(run, earlier[-1]):
                    self._report.allowed["repetitions"] += 1
                else:
                    self._violation("repeated", run, f"without a loss after {earlier[-1]}")
            earlier.append(run)

    def lane(self, published: Sequence[Published], runs: Sequence[Run]) -> None:
        """Look at what must be in order."""
        place = {one.id: number for number, one in enumerate(published)}
        known = [run for run in runs if run.id in place]
        self._order(published, known, place)
        self._backwards(known, place)
        self._depths(known, place)
        self._overlaps(known)

    def _order(
        self, published: Sequence[Published], runs: Iterable[Run], place: dict[str, int]
    ) -> None:
        """Find for each event the first start of a later one, and whether it was too early."""
        first, out = [NEVER] * len(published), [NEVER] * len(published)
        for run in runs:
            number = place[run.id]
            if run.id not in self._aside or run.start < self._aside[run.id]:
                first[number] = min(first[number], run.start)
            if run.how in OUT or (self._skips and run.how == "raise"):
                out[number] = min(out[number], run.close)
        earliest, by = NEVER, ""
        for number in reversed(range(len(published))):
            one = published[number]
            was_there = one.stored != NEVER or first[number] != NEVER
            if was_there and earliest < out[number]:
                late = "never" if out[number] == NEVER else f"at {out[number]}"
                what = f"{by} was started at {earliest}, and it was out {late}"
                self._report.violations.append(Violation("order", one.id, what))
            if first[number] < earliest:
                earliest, by = first[number], one.id

    def _backwards(self, runs: Iterable[Run], place: dict[str, int]) -> None:
        by_process: defaultdict[int, list[Run]] = defaultdict(list)
        for run in runs:
            if run.id not in self._aside or run.start < self._aside[run.id]:
                by_process[run.process].append(run)
        for one in by_process.values():
            for first, second in pairwise(one):
                if place[second.id] >= place[first.id] or second in self._stored_twice:
                    continue
                if not self._lost(first, second):
                    self._violation("backwards", second, f"in one process after {first}")

    def _depths(self, runs: Iterable[Run], place: dict[str, int]) -> None:
        highest = -1
        for run in runs:
            stepped_aside = run.id in self._aside
            back = highest - place[run.id]
            if run in self._repeated and not stepped_aside and back >= self._rules.window:
                self._violation("too far back", run, f"{back} places behind the newest begun")
            if not stepped_aside:
                highest = max(highest, place[run.id])

    def _overlaps(self, runs: Iterable[Run]) -> None:
        going: list[Run] = []
        for run in runs:
            going = [one for one in going if one.close > run.start]
            for one in going:
                if one.process != run.process and self._lost(one, run):
                    self._report.allowed["overlaps of a lost connection"] += 1
                else:
                    self._violation("overlap", run, f"began while {one} went on")
            going.append(run)

    def _unsure(self, sent: Published) -> bool:
        """Whether its first confirm may have been lost, so that it was sent again."""
        return any(one.begin <= sent.stored and one.end >= sent.begun for one in self._everybodys)

    def _explained(self, run: Run, last: Run) -> bool:
        losses = self._history.losses
        if self._rules.mode not in ORDERED or run.id in self._aside:
            return any(loss.begin <= run.start for loss in losses)
        concerned = [one for one in losses if one.process in (EVERYBODY, last.process)]
        if any(self._between(one, last.start, run.start) for one in concerned):
            return True
        return run in self._stored_twice

    def _lost(self, first: Run, second: Run) -> bool:
        """Whether all connections were lost between the starts of two runs."""
        return any(self._between(one, first.start, second.start) for one in self._everybodys)

    def _between(self, loss: Loss, start: int, end: int) -> bool:
        return loss.begin <= end and loss.end + self._unaware >= start

    def _violation(self, kind: str, run: Run, what: str) -> None:
        self._report.violations.append(Violation(kind, run.id, f"{run} {what}"))


def _lanes(history: History, *, by_key: bool) -> Iterator[tuple[list[Published], list[Run]]]:
    """Yield what must be in order, each lane with its runs."""
    key_of: Callable[[Published | Run], str] = (lambda one: one.key) if by_key else (lambda _: "")
    published: defaultdict[str, list[Published]] = defaultdict(list)
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    for one in history.published:
        published[key_of(one)].append(one)
    for run in history.runs:
        runs[key_of(run)].append(run)
    for key, several in published.items():
        yield several, runs[key]
