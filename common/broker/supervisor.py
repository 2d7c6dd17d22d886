"""Keep one connection up: connect anew with back-off and jitter, and prepare each fresh one.

Nothing of a lost connection is restored: a fresh one is prepared as the first was.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from common.broker.connection import Connection, connect
from common.errors import AccessRefused, BrokerUnavailable
from common.logs import get_logger
from common.metrics import Metrics
from common.probes import Health
from common.stopping import asked_to_stop

DELAYS = ((0.5, 1.0), (0.5, 3.5), (2.5, 3.5))
"""Seconds; short enough to work within 5 s of the broker's return."""
REFUSALS = 3
"""A broker that is starting may refuse a user it does not know yet; this often is a No."""
REFUSALS_LATER = 10
"""Of a connection that once worked: somebody may be changing rights or restoring the broker."""

Session = Callable[[Connection], Awaitable[None]]


async def until_closed(connection: Connection) -> None:
    """Be the session of a connection that others use."""
    await connection.closed.wait()


class Supervisor:
    """Owns the connection of one role (`publish`, `consume`) and tells its state."""

    def __init__(
        self,
        uri: str,
        *,
        name: str,
        role: str,
        health: Health,
        metrics: Metrics,
        prepare: Session | None = None,
    ) -> None:
        self._uri = uri
        self._name = f"{name} ({role})"
        self._role = role
        self._health = health
        self._metrics = metrics
        self._prepare = prepare
        self._connection: Connection | None = None
        self._version = (0, 0)
        self._live = asyncio.Event()
        self._log = get_logger(role=role)
        self._down("connecting")

    async def connection(self) -> Connection:
        """Return the live connection, waiting for one as long as it takes."""
        while self._connection is None or self._connection.closed.is_set():
            self._live.clear()
            await self._live.wait()
        return self._connection

    @property
    def live(self) -> Connection | None:
        """The live connection, if there is one now."""
        connection = self._connection
        return None if connection is None or connection.closed.is_set() else connection

    @property
    def version(self) -> tuple[int, int]:
        """The broker's version, as it was on the last connection."""
        return self._version

    async def run(self, session: Session = until_closed) -> None:
        """Keep connected until cancelled, running `session` on each connection.

        A session that returns while its connection is alive is started again on a fresh one.
        Raises AccessRefused when the broker keeps saying no, and TopologyMismatch.
        """
        failures = refusals = connects = 0
        while True:
            try:
                async with connect(self._uri, name=self._name) as connection:
                    if self._prepare is not None:
                        await self._prepare(connection)
                    if asked_to_stop():  # an RPC may swallow the cancellation
                        raise asyncio.CancelledError
                    failures = refusals = 0
                    connects += 1
                    self._up(connection, again=connects > 1)
                    await session(connection)
                    reason = connection.reason or "session ended"
                if connection.dropped:  # on purpose: there is nothing to wait for
                    self._log.info("connecting_anew", reason=reason)
                    continue
            except AccessRefused as error:
                refusals += 1
                if refusals >= (REFUSALS_LATER if connects else REFUSALS):
                    raise
                reason = str(error)
            except BrokerUnavailable as error:
                refusals = 0
                reason = str(error)
            if asked_to_stop():  # aiormq may say to who is cancelled that the connection went
                raise asyncio.CancelledError
            self._down(reason)
            failures += 1
            delay = _delay(failures, random.random())  # noqa: S311 - jitter, not a secret
            self._log.warning("broker_unavailable", reason=reason, retry_in=round(delay, 1))
            await asyncio.sleep(delay)

    def _up(self, connection: Connection, *, again: bool) -> None:
        self._connection = connection
        self._version = connection.version
        connection.when_blocked(self._blocked)
        self._live.set()
        self._health.set(self._role, None)
        self._metrics.connected.labels(self._role).set(1)
        if again:
            self._metrics.reconnects.labels(self._role).inc()
        major, minor = connection.version
        self._log.info("connected", broker=f"RabbitMQ {major}.{minor}")

    def _down(self, reason: str) -> None:
        self._connection = None
        self._live.clear()
        self._health.set(self._role, reason)
        self._metrics.connected.labels(self._role).set(0)
        self._health.note(self._role, None)
        self._metrics.blocked.labels(self._role).set(0)

    def _blocked(self, reason: str) -> None:
        """Show it: not a reason to be out of service, for events are still accepted."""
        self._metrics.blocked.labels(self._role).set(bool(reason))
        self._health.note(self._role, f"blocked by the broker: {reason}" if reason else None)
        if reason:
            self._log.warning("broker_blocked", reason=reason)
        else:
            self._log.info("broker_unblocked")


def _delay(failures: int, roll: float) -> float:
    """Return the seconds to wait after the n-th failure; `roll` in [0, 1) is the jitter.

    Soon at first. Later nearly the longest: how long those still wait who find the broker away when
    it returns is then spread evenly: of many clients no second has half, after an outage of 1.5 s
    or more. After a mere cut all of them are back between 0.5 and 1 s later.
    """
    shortest, longest = DELAYS[min(failures, len(DELAYS)) - 1]
    return shortest + roll * (longest - shortest)
