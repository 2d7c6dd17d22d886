"""`Pace`: no more than so many a second, evenly. PURE."""

CATCH_UP = 0.1
"""Seconds of delay (a slow confirm, a coarse timer) that are made up for by going faster."""


class Pace:
    """Gives each step its time; `rate` is steps a second, 0 means as fast as possible."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds to wait at `now` before the next step, and take that step's place."""
        if not self._gap:
            return 0.0
        slot = max(self._next, now - CATCH_UP)
        self._next = slot + self._gap
        return max(0.0, slot - now)
