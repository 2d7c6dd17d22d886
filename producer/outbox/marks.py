"""How far each source has come: a mark counts once all accepted before it is safe. PURE."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Mark(NamedTuple):
    """How far a source has come: the last tick, or a cursor, as JSON text."""

    name: str
    value: str


class Marks:
    """The last mark of each name, and those that still wait for events to be safe."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = dict(known)
        self._waiting: deque[tuple[int, Mark]] = deque()

    @property
    def wait(self) -> bool:
        """Whether some still wait."""
        return bool(self._waiting)

    def noted(self, name: str) -> str | None:
        """Return the last mark of this name that counts."""
        return self._known.get(name)

    def set(self, mark: Mark) -> None:
        """This one counts now."""
        self._known[mark.name] = mark.value

    def add(self, mark: Mark, *, after: int) -> None:
        """This one counts when all events up to number `after` are safe.

        One that waits already for the same event and name is replaced: they are bounded by the
        events that are not safe, and the sources.
        """
        if self._waiting and self._waiting[-1][0] == after and self._waiting[-1][1][0] == mark.name:
            self._waiting.pop()
        self._waiting.append((after, mark))

    def reached(self, first_unsafe: int) -> Iterator[Mark]:
        """Yield those that count from now on: all events below `first_unsafe` are safe."""
        while self._waiting and self._waiting[0][0] < first_unsafe:
            _, mark = self._waiting.popleft()
            self.set(mark)
            yield mark
