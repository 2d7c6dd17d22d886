"""Carry out an outcome: the copy published and confirmed first, then the inbox, then the ack.

A failed step leaves the delivery unacked, so it comes back; nothing is ever acked on a hope.
"""

import asyncio

from common.broker import Connection, Supervisor
from common.deadletter import DeadLetter, Reason
from common.envelope import republished
from common.errors import BrokerUnavailable
from common.logs import get_logger
from common.message import Confirmed, Delivery, Message, Nacked, Publishing
from common.metrics import Metrics
from common.topology import (
    Topology,
    dead_name,
    suspects_name,
    tier_for,
    tier_name,
    tier_topology,
    tiers_up_to,
)
from consumer.inbox import Inbox, Key
from consumer.outcome import Dead, Done, Isolate, Release, RetryIn
from consumer.verdict import Verdict

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between two tries to publish a copy."""


class Settle:
    """Settles the deliveries of one group; publishes on a connection of its own."""

    def __init__(
        self,
        publishing: Supervisor,
        inbox: Inbox,
        metrics: Metrics,
        *,
        group: str,
        host: str,
        topology: Topology,
        may_declare: bool,
    ) -> None:
        self._link = publishing
        self._inbox = inbox
        self._metrics = metrics
        self._group = group
        self._host = host
        self._topology = topology
        self._may_declare = may_declare
        self._standing = {queue.name for queue in topology.queues}
        """Queues that should be there; tiers that nobody foresaw are made on demand."""
        self._log = get_logger()

    async def __call__(self, delivery: Delivery, verdict: Verdict, key: Key | None) -> bool:
        """Carry the outcome out; False when the delivery's channel was gone before it was safe."""
        match verdict.outcome:
            case Done():
                if key is not None and not self._inbox.done(key):
                    await self._inbox.finish(key, done=True)
                return self.ack(delivery)
            case RetryIn(delay=delay):
                tier = self._tier(delay)
                return await self._copied(
                    delivery, self._retry(delivery, verdict, delay, tier), key, tier
                )
            case Dead(reason=reason):
                return await self._copied(
                    delivery, self._dead_letter(delivery, verdict, reason), key, None
                )
            case Isolate(delay=delay, deaths=deaths):
                aside = verdict._replace(history=verdict.history._replace(deaths=deaths))
                return await self._isolate(delivery, aside, delay, key)
            case Release():
                if key is not None:
                    self._inbox.forget(key)
                return delivery.nack()

    async def _copied(
        self, delivery: Delivery, copy: Publishing, key: Key | None, tier: int | None
    ) -> bool:
        if not await self._publish(delivery, copy, tier):
            if key is not None:
                self._inbox.forget(key)
            return False
        if key is not None:
            await self._inbox.finish(key, done=False)
        return self.ack(delivery)

    def ack(self, delivery: Delivery) -> bool:
        """Acknowledge; False, and counted, when it is too late."""
        acked = delivery.ack()
        if not acked:
            self._metrics.late_settles.inc()
        return acked

    async def _publish(self, delivery: Delivery, copy: Publishing, tier: int | None) -> bool:
        """Publish until the broker confirms; give up only when the original comes back anyway."""
        pause = FIRST_PAUSE
        while delivery.alive():
            connection = await self._link.connection()
            if not delivery.alive():
                break
            if tier is not None and tier_name(self._group, tier) not in self._standing:
                await self._make(connection, tier_topology(self._group, tier))
            answer = await connection.publish(copy)
            if isinstance(answer, Confirmed):
                return True
            self._log.warning(
                "settle_not_confirmed", exchange=copy.exchange, answer=repr(answer), retry_in=pause
            )
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
            if not isinstance(answer, Nacked) and connection is self._link.live:
                # Somebody may have deleted what it goes to.
                await self._make(connection, self._topology)
                self._standing = {queue.name for queue in self._topology.queues}
        return False

    async def _make(self, connection: Connection, topology: Topology) -> None:
        if not self._may_declare:
            return
        try:
            await connection.ensure(topology, "declare")
        except BrokerUnavailable as error:
            self._log.warning("topology_not_ensured", reason=str(error))
        else:
            self._standing |= {queue.name for queue in topology.queues}

    def _tier(self, delay: float) -> int:
        """Choose the delay tier; where we may not make one, the longest there is."""
        tier = tier_for(delay)
        if self._may_declare or tier_name(self._group, tier) in self._standing:
            return tier
        longest = max(
            one for one in tiers_up_to(delay) if tier_name(self._group, one) in self._standing
        )
        self._log.warning("delay_shortened", asked=delay, given=longest)
        return longest

    async def _isolate(
        self, delivery: Delivery, verdict: Verdict, delay: float, key: Key | None
    ) -> bool:
        """Copy it to the suspects, through a delay tier where it has to wait."""
        suspects = suspects_name(self._group)
        if not delay:
            copy = Publishing(suspects, suspects, _copy(delivery, verdict))
            return await self._copied(delivery, copy, key, None)
        tier = self._tier(delay)
        copy = self._retry(delivery, verdict, delay, tier)._replace(routing_key=suspects)
        return await self._copied(delivery, copy, key, tier)

    def _retry(self, delivery: Delivery, verdict: Verdict, delay: float, tier: int) -> Publishing:
        return Publishing(
            exchange=tier_name(self._group, tier),
            routing_key=self._group,
            message=_copy(delivery, verdict),
            expiration=min(max(delay, 0.001), tier),
        )

    def _dead_letter(self, delivery: Delivery, verdict: Verdict, reason: Reason) -> Publishing:
        event, failure, history = verdict.event, verdict.failure, verdict.history.copied()
        times = history.attempt_times_ms
        record = DeadLetter(
            reason=reason,
            id=event.id if event else delivery.message.message_id or "",
            type=event.type if event else delivery.message.type or "",
            source=event.source if event else "",
            error=failure.error if failure else "",
            message=failure.message if failure else "",
            traceback=failure.traceback if failure else "",
            attempts=history.attempts,
            attempt_times_ms=times,
            first_failed_ms=history.first_failed_ms,
            last_failed_ms=times[-1] if times else 0,
            handler=verdict.handler.name if verdict.handler else "",
            group=self._group,
            host=self._host,
            history=history,
        )
        return Publishing(
            exchange=dead_name(self._group),
            routing_key=self._group,
            message=republished(
                delivery.message, record.headers(), message_id=event.id if event else ""
            ),
        )


def _copy(delivery: Delivery, verdict: Verdict) -> Message:
    """Return the same bytes with what it has been through."""
    return republished(
        delivery.message,
        verdict.history.copied().headers(),
        message_id=verdict.event.id if verdict.event else "",
    )
