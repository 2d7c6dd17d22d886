"""Blocking work in one thread: all that was asked for meanwhile is done in one go.

So events that arrive together share a reading, and those that finish together share a commit. What
fails is kept, tried again each second for ever, and said.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from common.logs import get_logger
from common.seldom import Seldom
from common.stopping import to_its_end
from consumer.inbox.file import Unusable

MOST_AT_ONCE = 512
AGAIN_SECONDS = 1.0
"""Between two tries after one has failed."""
NOTICE_SECONDS = 10.0
"""Between two lines about it."""

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


class Turns(Generic[A, B]):
    """Answers with what `work` returns for all of the asked; `verb` says what it does to a file.

    While there is trouble and nobody asks, it asks itself, with nothing, whether that is over.
    """

    def __init__(self, verb: str, work: Callable[[Sequence[A]], Sequence[B]]) -> None:
        self._verb = verb
        self._work = work
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"inbox {verb}")
        self._asked: dict[asyncio.Future[B], A] = {}
        self._something = asyncio.Event()
        self._well = asyncio.Event()
        self._well.set()
        self._notices = Seldom(NOTICE_SECONDS)
        self._log = get_logger()
        self.lock = asyncio.Lock()
        """Held at each turn: whoever else does the same kind of work holds it too."""
        self.trouble: str | None = None
        """Why the last try failed, if it did."""

    async def ask(self, one: A) -> B:
        """Have it done; whoever is cancelled may find that it was done all the same."""
        answer: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._asked[answer] = one
        self._something.set()
        try:
            return await answer
        except asyncio.CancelledError:
            self._asked.pop(answer, None)
            raise

    async def well(self) -> None:
        """Wait until there is no trouble."""
        while self.trouble is not None:
            await self._well.wait()

    def failed(self, error: Unusable) -> None:
        """Say what is wrong; from now on there is trouble, until a turn does not fail."""
        self.trouble = str(error)
        self._well.clear()
        self._something.set()
        if times := self._notices.due(self._verb):
            self._log.error(f"inbox_not_{self._verb}", reason=self.trouble, times=times)

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            await self._something.wait()
            began = time.monotonic()
            async with self.lock:
                await to_its_end(self.turn())
            if self.trouble is not None:
                await asyncio.sleep(AGAIN_SECONDS - (time.monotonic() - began))

    async def turn(self) -> None:
        """Do what was asked for, up to a bound."""
        batch = list(self._asked.items())[:MOST_AT_ONCE]
        if not batch and self.trouble is None:
            self._something.clear()
            return
        try:
            answers = await self.in_thread(self._work, [one for _, one in batch])
        except Unusable as error:
            self.failed(error)
            return
        for (future, _), answer in zip(batch, answers, strict=True):
            self._asked.pop(future, None)
            if not future.done():
                future.set_result(answer)
        if self.trouble is not None:
            self.trouble = None
            self._well.set()
            self._log.info(f"inbox_{self._verb}_again")
        if not self._asked:
            self._something.clear()

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call something in the thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

    async def close(self, last: Callable[[], None]) -> None:
        """Do what was asked for, if that is possible, then `last`; the rest is cancelled."""
        while self._asked:
            await self.turn()
            if self.trouble is not None:
                break
        for future in self._asked:
            future.cancel()
        await self.in_thread(last)
        self._thread.shutdown()
