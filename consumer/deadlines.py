"""The timeouts of handlers: one timer for all runs that have the same time.

`asyncio.timeout` sets and cancels a timer for each run. Runs that have equally long begin and are
due in one order, so a single timer for the first of them is enough. What it does to a task that is
overdue, and the care about who else cancels it, are those of `asyncio.timeout`.
"""

import asyncio


class Deadlines:
    """Cancels tasks whose run lasts longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._due: dict[asyncio.Task[None], float] = {}
        """In the order in which they began."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[None]) -> None:
        """Start the time of a task's run; `end` ends it."""
        due = self._due[task] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look)

    def end(self, task: asyncio.Task[None]) -> bool:
        """End it; True when its time was over, and the task had been cancelled for that."""
        if self._due.pop(task, None) is not None:
            return False
        task.uncancel()
        return True

    def _look(self) -> None:
        """Cancel what is overdue, and come back when the next run is due, if there is one."""
        self._timer = None
        now = self._loop.time()
        overdue = []
        for task, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._look)
                break
            overdue.append(task)
        for task in overdue:
            del self._due[task]
            task.cancel()
