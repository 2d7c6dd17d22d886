"""The delay tiers of delayed events: made, or checked, before the first event goes to one.

A publish to an exchange that is missing ends the channel, and costs all others their answers.
"""

import asyncio
from collections.abc import Awaitable, Callable

from common.broker import Connection
from common.topology import EVENTS, LARGEST_TIER, Topology, delay_name, delay_topology, tiers_up_to

Ensure = Callable[[Connection, Topology], Awaitable[None]]

_SECONDS = {delay_name(tier): tier for tier in tiers_up_to(LARGEST_TIER)}


class DelayTiers:
    """Those that are known to be there."""

    def __init__(self, ensure: Ensure) -> None:
        self._ensure = ensure
        self._there = {EVENTS}
        self._one = asyncio.Lock()

    def there(self, exchange: str) -> bool:
        """Whether an event may be sent to this exchange now."""
        return exchange in self._there

    async def make(self, connection: Connection, exchange: str) -> None:
        """Make sure of one. Raises BrokerUnavailable, or ConfigError where it cannot be."""
        async with self._one:
            if exchange not in self._there:
                await self._ensure(connection, delay_topology(_SECONDS[exchange]))
                self._there.add(exchange)

    def doubt(self, exchange: str) -> None:
        """An answer says that it may have been deleted: make sure of it again."""
        if exchange != EVENTS:
            self._there.discard(exchange)
