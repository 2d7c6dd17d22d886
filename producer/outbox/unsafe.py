"""The events that are neither confirmed nor written yet, and how long that may last."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from producer.outbox.entry import Entry


class Unsafe:
    """In the order of acceptance. `late` is called with those that are unsafe for too long."""

    def __init__(self, patience: float, late: Callable[[list[Entry]], None]) -> None:
        self._patience = patience
        self._late = late
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entry: Entry) -> None:
        """It has just been accepted."""
        self._entries[entry.number] = entry
        if self._timer is None:
            self._look_in(self._patience)

    def discard(self, entry: Entry) -> None:
        """It is safe, or over."""
        self._entries.pop(entry.number, None)

    def first(self, default: int) -> int:
        """Return the lowest number of them; `default` when there are none."""
        return next(iter(self._entries), default)

    def entries(self) -> list[Entry]:
        """Return all of them."""
        return list(self._entries.values())

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now, late = time.time(), []
        for entry in self._entries.values():
            waited = now - entry.accepted_at
            if 0 <= waited < self._patience * 0.9:  # else it is late, or the clock was set back
                self._look_in(self._patience - waited)
                break
            late.append(entry)
        self._late(late)
