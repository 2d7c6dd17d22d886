"""The events that this process has in hand, each once; another delivery of one waits."""

import asyncio
from typing import Generic, TypeVar

from consumer.inbox.claim import Key

H = TypeVar("H")


class InHand(Generic[H]):
    """Events in hand, each with what its claim said."""

    def __init__(self) -> None:
        self.held: dict[Key, H] = {}
        self.ends: dict[Key, asyncio.Future[None]] = {}
        """Where another delivery waits for the end of a run."""

    def __len__(self) -> int:
        return len(self.held)

    def __contains__(self, key: Key) -> bool:
        return key in self.held

    def let_go(self, key: Key) -> None:
        """It is in hand no more; nothing if it was not."""
        self.held.pop(key, None)
        if self.ends:
            end = self.ends.pop(key, None)
            if end is not None:
                end.set_result(None)

    async def end_of(self, key: Key) -> None:
        """Wait until it is let go, once; others may have it again by then."""
        if key not in self.held:
            return
        end = self.ends.get(key)
        if end is None:
            end = self.ends[key] = asyncio.get_running_loop().create_future()
        await asyncio.shield(end)
