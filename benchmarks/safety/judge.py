"""From what was seen to a cell of the table. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from benchmarks.peers.safety_events import BAD, NEIGHBOURS
from benchmarks.safety.contestants import Entry
from benchmarks.safety.hosts import Message
from benchmarks.safety.reasons import brokers_note, deliveries, reason_of

OFTEN: Final = 3
"""An event that was taken up so often, and lies in its queue again, goes round."""


class Verdict(StrEnum):
    """What became of the bad event."""

    REASON = "kept, with reason"
    HANDLED = "kept (handled again)"
    KEPT = "kept"
    RETRYING = "kept (retrying)"
    LOOPING = "looping"
    LOST = "lost"
    NOT_RUN = "did not run"


@dataclass(frozen=True, slots=True)
class Seen:
    """What an experiment left."""

    what: str
    journal: Sequence[tuple[str, str]]
    """What handlers said, in order: `began` or `handled`, and an event's id."""
    messages: Sequence[Message]
    """All messages of the virtual host afterwards."""
    queues: Sequence[str]
    starts: int
    """How often its process was started."""
    ending: str
    """Why it was watched no longer."""

    def count(self, word: str, name: str) -> int:
        """Return how often handlers said this of the event."""
        return sum(1 for one in self.journal if one == (word, name))


@dataclass(frozen=True, slots=True)
class Cell:
    """A result: the verdict, what happened to the neighbours, and how it was found out."""

    verdict: Verdict
    neighbours: str = ""
    how: str = ""

    @property
    def text(self) -> str:
        """What stands in the table."""
        return f"{self.verdict}; {self.neighbours}" if self.neighbours else str(self.verdict)

    def is_good(self, what: str) -> bool:
        """Tell whether nothing is left to wish for: kept with its reason, or handled after all."""
        wanted = Verdict.HANDLED if what == "kill" else Verdict.REASON
        return self.verdict is wanted and not self.neighbours


def judge(entry: Entry, seen: Seen) -> Cell:
    """Decide what a contestant did with an experiment's events."""
    found = [one for one in seen.messages if one.names(BAD)]
    return Cell(_verdict(entry, seen, found), _neighbours(entry, seen), _how(seen, found))


def _verdict(entry: Entry, seen: Seen, found: Sequence[Message]) -> Verdict:
    aside = [m for m in found if m.queue != entry.queue and not entry.waits_in(m.queue)]
    if seen.count("handled", BAD):
        return Verdict.HANDLED
    if not found:
        return Verdict.LOST
    if aside:
        return Verdict.REASON if any(reason_of(one) for one in aside) else Verdict.KEPT
    if any(entry.waits_in(one.queue) for one in found):
        return Verdict.RETRYING
    times = max(seen.count("began", BAD), *(deliveries(one) for one in found))
    return Verdict.LOOPING if times >= OFTEN else Verdict.KEPT


def _neighbours(entry: Entry, seen: Seen) -> str:
    fates = {"lost": 0, "set aside too": 0, "still waiting": 0}
    for name in NEIGHBOURS:
        if seen.count("handled", name):
            continue
        where = [one.queue for one in seen.messages if one.names(name)]
        waits = any(queue == entry.queue or entry.waits_in(queue) for queue in where)
        fates["lost" if not where else "still waiting" if waits else "set aside too"] += 1
    return ", ".join(_several(count, fate) for fate, count in fates.items() if count)


def _several(count: int, fate: str) -> str:
    if fate == "lost":
        return f"{count} neighbour{'s' * (count > 1)} lost"
    return f"{count} neighbour{'s' * (count > 1)} {fate}"


def _how(seen: Seen, found: Sequence[Message]) -> str:
    began, handled = seen.count("began", BAD), seen.count("handled", BAD)
    done = sum(1 for name in NEIGHBOURS if seen.count("handled", name))
    parts = [
        f"its handler began {began}x" + (f" and ended {handled}x" if handled else ""),
        f"{done} of {len(NEIGHBOURS)} neighbours handled",
        f"process started {seen.starts}x",
        seen.ending,
        _places(found) if found else f"in none of the queues {', '.join(seen.queues)}",
    ]
    return "; ".join(parts)


def _places(found: Sequence[Message]) -> str:
    said: Mapping[str, str] = {one.queue: _says(one) for one in found}
    return ", ".join(f"found in `{queue}` ({says})" for queue, says in said.items())


def _says(message: Message) -> str:
    if reason := reason_of(message):
        return f"says {reason}"
    if note := brokers_note(message):
        return f"the broker notes only {note}"
    count = deliveries(message)
    return f"no reason, delivered {count}x before" if count else "no reason"
