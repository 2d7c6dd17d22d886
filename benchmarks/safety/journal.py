"""What handlers have said, and for how long they have been silent."""

import time
from collections.abc import Callable
from pathlib import Path

Line = tuple[str, str]
"""`began` or `handled`, and an event's id."""


def read(path: Path) -> list[Line]:
    """Read the lines that are whole."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    return [(word, name) for word, _, name in (line.partition(" ") for line in whole.splitlines())]


class Quiet:
    """Watches a count that grows."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._count = 0
        self._changed = clock()

    def lasts(self, count: int) -> bool:
        """Tell whether the count has stood still for all those seconds."""
        if count != self._count:
            self._count, self._changed = count, self._clock()
        return self._clock() - self._changed >= self.seconds
