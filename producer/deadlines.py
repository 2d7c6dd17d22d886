"""Wake those whose time is up: one timer of the loop for any number of them.

A timer, or an `asyncio.timeout`, for each publish would cost as much as writing its event.
"""

import asyncio

from common.errors import PublishFailed, TidingsError

Waiter = asyncio.Future[TidingsError | None]

OUT_OF_TIME = PublishFailed("out of time")
"""What a waiter gets at its deadline; never raised: whoever waits knows better what to say."""

PAUSE_SECONDS = 0.01
"""Between two looks at all who wait: so late may one be woken."""


class Deadlines:
    """Gives `OUT_OF_TIME` to each waiter whose deadline passes between its `begin` and `end`."""

    def __init__(self) -> None:
        self._waiting: dict[Waiter, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, waiter: Waiter, deadline: float) -> None:
        """Wake `waiter` at `deadline` (loop time), unless it is done before."""
        self._waiting[waiter] = deadline
        if self._timer is None or deadline < self._timer.when():
            self._arm(deadline)

    def end(self, waiter: Waiter) -> None:
        """Forget it. The timer stays: others come, and setting one costs more than its ring."""
        self._waiting.pop(waiter, None)

    def stop(self) -> None:
        """Wake nobody any more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._look)

    def _look(self) -> None:
        """Wake who is overdue, and come back when the next one is."""
        now = asyncio.get_running_loop().time()
        for waiter in [one for one, deadline in self._waiting.items() if deadline <= now]:
            del self._waiting[waiter]
            if not waiter.done():
                waiter.set_result(OUT_OF_TIME)
        self._timer = None
        if self._waiting:
            self._arm(max(min(self._waiting.values()), now + PAUSE_SECONDS))
