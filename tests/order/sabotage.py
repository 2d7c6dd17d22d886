"""Bugs planted into the product, one for each order, to show that the checker sees them.

For the handlers' module of a campaign, never for anything else.
"""

from collections.abc import Callable, Hashable
from typing import Any

from common.broker import Connection
from consumer import lanes
from consumer.ordered_intake import OrderedIntake


def apply(bug: str) -> None:
    """Plant the bug of this name."""
    {
        "everything at once": _everything_at_once,
        "others pass what is held": _others_pass_what_is_held,
        "away with a goodbye": _away_with_a_goodbye,
        "the oldest first": _the_oldest_first,
        "the lowest first": _the_lowest_first,
    }[bug]()


def _everything_at_once() -> None:
    """Take every event for one of a key of its own, and what runs for nothing: nothing waits."""
    begin = lanes.ByKey.__init__

    def begin_wrongly(
        self: lanes.ByKey[Any], key_of: Callable[[Any], str], alone: Callable[[Hashable], bool]
    ) -> None:
        begin(self, lambda one: f"{key_of(one)} {id(one)}", alone)

    lanes.ByKey.__init__ = begin_wrongly  # type: ignore[assignment, method-assign]
    lanes.ByKey.running = property(lambda _: 0)  # type: ignore[assignment, method-assign]


def _others_pass_what_is_held() -> None:
    """Let a key go on while its failed event waits for the next attempt."""

    def hold(self: lanes.ByKey[Any], item: Any) -> None:
        self._ended(item)
        self._lanes[self._key_of(item)].append(item)
        self._free(self._key_of(item))

    lanes.ByKey.hold = hold  # type: ignore[method-assign]


def _away_with_a_goodbye() -> None:
    """Cancel and close where the socket must be dropped: what is unsettled comes behind."""
    drain = OrderedIntake.drain

    async def drain_politely(self: OrderedIntake, within: float) -> None:
        for one in self._subscriptions.values():
            await one.cancel()
        await drain(self, within)

    async def drop(self: Connection, reason: str) -> None:
        self.dropped = bool(reason)
        await self.close()

    OrderedIntake.drain = drain_politely  # type: ignore[method-assign]
    Connection.drop = drop  # type: ignore[method-assign]


def _the_oldest_first() -> None:
    """Take the newest for the oldest."""

    def take(self: lanes.Newest[Any]) -> Any:
        return self._items.popleft()[1] if self._items else None

    lanes.Newest.take = take  # type: ignore[method-assign]


def _the_lowest_first() -> None:
    """Read priorities the wrong way round."""
    begin = lanes.Highest.__init__

    def begin_wrongly(
        self: lanes.Highest[Any],
        clock: Callable[[], float],
        priority_of: Callable[[Any], int | None],
    ) -> None:
        begin(self, clock, lambda one: lanes.HIGHEST_PRIORITY - (priority_of(one) or 0))

    lanes.Highest.__init__ = begin_wrongly  # type: ignore[method-assign]
