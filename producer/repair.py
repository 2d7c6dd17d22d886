"""Put back what somebody has deleted from the broker, while the producer runs."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from common.broker import Connection
from common.errors import BrokerUnavailable, ConfigError
from common.logs import get_logger

REPAIR_SECONDS = 2.0
"""Between two tries to put the topology back."""

Repair = Callable[[Connection], Awaitable[None]]
"""Makes sure that the topology is there."""


class Repairer:
    """Puts the topology back, one call for all who found it broken at once."""

    def __init__(self, repair: Repair | None) -> None:
        self._repair = repair
        self._turn = asyncio.Lock()
        self._next = -math.inf
        self._log = get_logger(role="publish")

    async def repair(self, connection: Connection) -> None:
        """Repair, unless somebody else did so a moment ago."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._repair is None or connection.closed.is_set() or loop.time() < self._next:
                return
            try:
                await self._repair(connection)
            except BrokerUnavailable as error:
                if not connection.closed.is_set():  # else the supervisor tells of it
                    self._log.warning("topology_not_repaired", problem=str(error))
            except ConfigError as error:
                # The events are still ours; ending now would lose what is only in memory.
                self._log.error("topology_not_repaired", problem=str(error))
            self._next = loop.time() + REPAIR_SECONDS
