"""One core for the broker, another for the clients: what shares a core slows the other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Cores:
    """Which core is whose; both None where cores cannot be chosen, or there is only one."""

    def __init__(self) -> None:
        """Choose the first core that we may use for clients, and the last for the broker."""
        self.client: int | None = None
        self.broker: int | None = None
        if hasattr(os, "sched_getaffinity"):
            ours = sorted(os.sched_getaffinity(0))
            if len(ours) > 1:
                self.client, self.broker = ours[0], ours[-1]


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Start processes on one core: they inherit it from this thread."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
