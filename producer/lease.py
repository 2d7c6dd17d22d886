"""Which replica makes the ticks of a source: the one that holds its lease at the broker.

A lease is an exclusive queue on the publishing connection; with the connection it is gone, and the
next replica gets it. A replica without a connection makes its ticks too: the broker cannot say who
else does, and ticks that two have made have the same ids. So a lease saves work; it is not what
keeps ticks from being handled twice, that is the inbox.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from hashlib import sha256

from common.broker import Connection, Supervisor
from common.errors import AccessRefused, BrokerUnavailable
from common.logs import get_logger
from common.metrics import Metrics
from common.stopping import asked_to_stop

PREFIX = "events.lease."
LONGEST_NAME = 255
"""Bytes of a queue's name."""
TRY_SECONDS = 0.5
"""Between two tries for a lease that another one holds."""
FIRST_ANSWER_SECONDS = 3.0
"""How long a replica that has just started waits for its first connection before it ticks."""


def lease_name(service: str, source: str) -> str:
    """Name the queue; names that would be too long are cut, with a digest at the end."""
    name = f"{PREFIX}{service}/{source}"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = sha256(name.encode()).hexdigest()[:16]
    return name.encode()[: LONGEST_NAME - 17].decode(errors="ignore") + "/" + digest


class Leases:
    """The leases of a service's tick sources. `mine` is asked before each tick."""

    def __init__(
        self, service: str, sources: Iterable[str], supervisor: Supervisor, metrics: Metrics
    ) -> None:
        self._names = {source: lease_name(service, source) for source in sources}
        self._supervisor = supervisor
        self._connection: Connection | None = None
        """The one on which the leases are held."""
        self._held: set[str] = set()
        self._elsewhere: set[str] = set()
        self._answered = not self._names
        self._log = get_logger()
        self._leads = metrics.source_leads
        for source in self._names:
            self._leads.labels(source).set_function(partial(self.mine, source))

    def mine(self, source: str) -> bool:
        """Whether this replica is to make the ticks of a source now."""
        if not self._answered:
            return False
        live = self._supervisor.live
        return live is None or live is not self._connection or source in self._held

    async def run(self) -> None:
        """Get what can be got, as long as it is not forbidden; until cancelled."""
        if not self._names:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + FIRST_ANSWER_SECONDS
        while not asked_to_stop():  # aiormq may swallow the cancellation of who asks it
            connection = self._supervisor.live
            if connection is not None:
                await self._ask(connection)
            elif loop.time() >= until:
                self._answered = True
            await asyncio.sleep(TRY_SECONDS if self._answered else TRY_SECONDS / 10)

    async def _ask(self, connection: Connection) -> None:
        if connection is not self._connection:
            self._held.clear()
        for source, name in self._names.items():
            if source in self._held:
                continue
            try:
                held = await connection.hold(name)
            except BrokerUnavailable:
                return  # the supervisor tells of it
            except AccessRefused as error:
                self._log.warning("lease_forbidden", source=source, problem=str(error))
                held = True  # each replica makes the ticks then; their ids are the same
            if held:
                self._held.add(source)
                self._elsewhere.discard(source)
                self._log.info("lease_taken", source=source)
            elif source not in self._elsewhere:
                self._elsewhere.add(source)
                self._log.info("lease_held_elsewhere", source=source)
        self._connection = connection
        self._answered = True
