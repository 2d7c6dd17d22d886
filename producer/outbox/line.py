"""Who brings more than there is room for waits in line: in the order of arrival, or until too late.

Used by every home; whether there is room is for the home to say.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from producer.deadlines import OUT_OF_TIME, Deadlines, Waiter


class Line:
    """The line before a full outbox. `has_room` is asked each time somebody might come in."""

    def __init__(self, has_room: Callable[[], bool]) -> None:
        self._has_room = has_room
        self._waiting: deque[Waiter] = deque()
        self._deadlines = Deadlines()

    def __len__(self) -> int:
        """Those who wait: while there are some, who comes now must not overtake."""
        return len(self._waiting)

    async def wait(self, deadline: float | None) -> bool:
        """Wait for one's turn; False when `deadline` (loop time) came first."""
        loop = asyncio.get_running_loop()
        turn: Waiter = loop.create_future()
        self._waiting.append(turn)
        while True:
            if deadline is not None:
                self._deadlines.begin(turn, deadline)
            try:
                ending = await turn
            except asyncio.CancelledError:
                self._leave(turn)
                raise
            finally:
                self._deadlines.end(turn)
            if ending is OUT_OF_TIME:
                self._leave(turn)
                return False
            if self._has_room():
                return True
            # Somebody who came a moment later was faster: the first place in the line again.
            turn = loop.create_future()
            self._waiting.appendleft(turn)

    def let_in(self) -> None:
        """Tell the first in line to come, if there is room."""
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def dissolve(self) -> None:
        """Let all of them in: there is nothing to wait for any more."""
        while self._waiting and self._has_room():
            self.let_in()
        self._deadlines.stop()

    def _leave(self, turn: Waiter) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():
            self.let_in()  # it was this one's turn: the next one's now
