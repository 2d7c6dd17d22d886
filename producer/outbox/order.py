"""The entries that a home has in memory, in the order of acceptance, and which are taken."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from producer.outbox.entry import Entry


class Order:
    """Entries are added in order; whoever sends them takes the oldest that nobody has."""

    def __init__(self) -> None:
        self._all: OrderedDict[int, Entry] = OrderedDict()
        self._untaken: OrderedDict[int, Entry] = OrderedDict()
        self._given_back: dict[int, Entry] = {}
        """All older than all of `_untaken`, in no order."""
        self._changed = asyncio.Event()
        self.size_bytes = 0
        """Bytes of the bodies."""

    def __len__(self) -> int:
        """Entries, taken ones too."""
        return len(self._all)

    @property
    def untaken(self) -> int:
        """Entries that nobody has, but for those given back."""
        return len(self._untaken)

    @property
    def oldest(self) -> float | None:
        """When the oldest was accepted."""
        first = next(iter(self._all.values()), None)
        return None if first is None else first.accepted_at

    def entries(self) -> tuple[Entry, ...]:
        """Return all of them."""
        return tuple(self._all.values())

    def add(self, entry: Entry) -> None:
        """Add one that is younger than all before."""
        self._all[entry.number] = self._untaken[entry.number] = entry
        self.size_bytes += len(entry.publishing.message.body)
        self._changed.set()

    async def take(self, most: int, held_up: Callable[[], bool] | None = None) -> list[Entry]:
        """Return the oldest that are not taken, `most` at most, waiting for the first.

        While `held_up` says so nothing is taken; `look_again` asks it anew.
        """
        untaken, given_back = self._untaken, self._given_back
        while not (untaken or given_back) or (held_up is not None and held_up()):
            self._changed.clear()
            await self._changed.wait()
        taken: list[Entry] = []
        if given_back:
            taken += [given_back.pop(number) for number in sorted(given_back)[:most]]
        while untaken and len(taken) < most:
            taken.append(untaken.popitem(last=False)[1])
        return taken

    def look_again(self) -> None:
        """Let a `take` that is held up ask again."""
        self._changed.set()

    def give_back(self, entry: Entry) -> None:
        """Let a taken entry be taken again; nothing if it is over."""
        if not entry.over:
            self._given_back[entry.number] = entry
            self._changed.set()

    def forget(self, entry: Entry) -> bool:
        """Remove it; False when it is not here."""
        number = entry.number
        if self._all.pop(number, None) is None:
            return False
        self.size_bytes -= len(entry.publishing.message.body)
        if entry.sent_at is None:  # else it is taken
            self._untaken.pop(number, None)
            self._given_back.pop(number, None)
        return True
