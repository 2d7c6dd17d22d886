"""Look at the partitions on the broker, and take what `Shares` says, one replica at a time.

A queue with a single active consumer shows one consumer however many stand by. So two that took one
partition at once would never know: whoever takes holds a name meanwhile, and looks again first.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet

from common.broker import Connection
from common.errors import BrokerUnavailable, TopologyMismatch
from common.homes import Home, sharing_name
from common.logs import get_logger
from common.metrics import Metrics
from common.topology import suspects_name
from consumer.shares import Share, Shares
from consumer.turn import turn

Subscribe = Callable[[Connection, str], Awaitable[None]]


class Sharing:
    """The share of one replica. `members`: a queue that all replicas consume, to count them.

    Suspects stay in their places in an ordered home, so there is nothing in it.
    """

    def __init__(self, home: Home, metrics: Metrics) -> None:
        self.members = suspects_name(home.group)
        self._name = sharing_name(home.group)
        self._partitions = home.queue_names[:-1]
        start = random.randrange(1000)  # noqa: S311 - spread, no secret
        self._shares = Shares(self._partitions, asyncio.get_running_loop().time, start)
        self._metrics = metrics
        self._log = get_logger()

    def anew(self) -> None:
        """Begin on a new connection."""
        self._shares.anew()

    async def step(
        self, connection: Connection, mine: AbstractSet[str], subscribe: Subscribe
    ) -> str:
        """Look, and take partitions that are free; return why to leave, if so.

        Raises BrokerUnavailable.
        """
        mine = mine & set(self._partitions)
        found, replicas = await self._look(connection, mine)
        if found.leave:
            return f"to share the partitions among {replicas}"
        if not found.take:
            return ""
        # Where it is another one's turn, there will be another look soon.
        async with turn(connection, self._name, waits=False) as ours:
            if ours:
                found, replicas = await self._look(connection, mine)
                for queue in found.take:
                    await subscribe(connection, queue)
                held = len(mine) + len(found.take)
                self._metrics.partitions.set(held)
                self._log.info("partitions_taken", held=held, replicas=replicas)
        return ""

    async def _look(self, connection: Connection, mine: AbstractSet[str]) -> tuple[Share, int]:
        try:
            replicas = await connection.consumers(self.members)
            counts = {
                queue: await connection.consumers(queue)
                for queue in self._partitions
                if queue not in mine
            }
        except TopologyMismatch as error:
            raise BrokerUnavailable(str(error)) from None
        return self._shares.look(mine, counts, replicas), replicas
