"""Which events of an outbox a command is about, and how many there are of each kind."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from producer.outbox.visiting import Held

MOST_KINDS = 1000
"""Kinds that are told apart: a reason may name a size, and then each event has its own."""
OTHERS = "(others)"

Kind = tuple[str, str]
"""Reason and type."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is empty matches all."""

    ids: frozenset[str] = frozenset()
    type: str = ""
    """An event type; `*` and `?` stand for any text and any character, as in the reason."""
    reason: str = ""
    limit: int | None = None

    def picks(self, held: Held) -> bool:
        """Whether the event is one of those."""
        return (
            (not self.ids or held.id in self.ids)
            and (not self.type or _is(held.type, self.type))
            and (not self.reason or _is(held.reason, self.reason))
        )

    def among(self, pages: Iterable[list[Held]]) -> Iterator[list[Held]]:
        """Yield of each page those that match, `limit` at most in all."""
        left = self.limit
        for page in pages:
            found = [held for held in page if self.picks(held)][:left]
            if found:
                yield found
            if left is not None:
                left -= len(found)
                if left == 0:
                    return


def _is(text: str, wanted: str) -> bool:
    return text == wanted or fnmatchcase(text, wanted)


@dataclass(slots=True)
class Kinds:
    """Counts events by reason and type, a page at a time."""

    counts: Counter[Kind] = field(default_factory=Counter)
    latest: dict[Kind, float] = field(default_factory=dict)
    """When the last one of its kind was set aside; for those that wait, accepted."""
    last_number: int = 0
    last_refused_at: float = 0.0

    def add(self, page: Iterable[Held]) -> None:
        """Count them."""
        for held in page:
            kind = held.reason, held.type
            if kind not in self.counts and len(self.counts) >= MOST_KINDS:
                kind = OTHERS, OTHERS
            self.counts[kind] += 1
            at = held.accepted_at if held.refused_at is None else held.refused_at
            self.latest[kind] = max(at, self.latest.get(kind, 0.0))
            self.last_number = max(held.number, self.last_number)
            self.last_refused_at = max(held.refused_at or 0.0, self.last_refused_at)

    @property
    def total(self) -> int:
        """How many were counted."""
        return self.counts.total()

    def most(self) -> list[tuple[Kind, int]]:
        """Return the kinds, the most frequent first."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
