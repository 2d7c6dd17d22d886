"""Say often-repeated things seldom: the first at once, then a line in a while with how many."""

import asyncio


class Seldom:
    """Decides for each kind of line whether it is time, `seconds` apart."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def due(self, kind: str, count: int = 1) -> int:
        """Count `count` more of this kind; return all since the last line, or 0 for silence."""
        now = asyncio.get_running_loop().time()
        total = self._silent.get(kind, 0) + count
        if kind in self._last and now - self._last[kind] < self._seconds:
            self._silent[kind] = total
            return 0
        self._last[kind] = now
        self._silent[kind] = 0
        return total
