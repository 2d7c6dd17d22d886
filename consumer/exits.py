"""The three deliberate exits of a handler. Exceptions, so that they work from any depth. PURE."""

from common.duration import seconds

UNSAID = 60.0
"""Seconds of a snooze whose class never says how long: a subclass without `super().__init__`."""


class Retry(Exception):
    """Try again; counts as an attempt. `after`: seconds or '5m'; None leaves it to the policy."""

    after: float | None = None

    def __init__(self, why: str = "", *, after: float | str | None = None) -> None:
        super().__init__(why)
        self.after = None if after is None else seconds(after)


class Snooze(Exception):
    """Not now, and not the event's fault: try again later, without counting an attempt."""

    for_: float = UNSAID

    def __init__(self, why: str = "", *, for_: float | str) -> None:
        super().__init__(why)
        self.for_ = seconds(for_)


class Reject(Exception):
    """Never again: set the event aside now, with this reason."""
