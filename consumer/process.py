"""One delivery from arrival to settlement: read, claim, handle, decide, settle, tell."""

import asyncio
from dataclasses import dataclass

from common.errors import ConfigError
from common.event import Event
from common.history import History
from common.logs import get_logger
from common.message import Delivery
from common.metrics import UNKNOWN_TYPE, Metrics
from consumer.attempt import Attempts
from consumer.inbox import Claim, Key, MemoryInbox, key_of
from consumer.policy import Cause, Dead, Done, Failure, Isolate, Release, RetryIn
from consumer.settle import Settle
from consumer.verdict import Verdict

PAUSE_AFTER_A_BUG = 1.0
"""Seconds: a message that meets a bug of ours comes back at once."""

_CONFLICT = Failure(
    Cause.CONFLICT, message="another event with this source and id, and other content, came before"
)


@dataclass(frozen=True)
class Process:
    """What happens to each delivery. Metrics and the log line come after the settle."""

    attempts: Attempts
    inbox: MemoryInbox
    settle: Settle
    metrics: Metrics

    async def __call__(self, delivery: Delivery) -> None:
        """Process one delivery; when cancelled, hand it back."""
        if delivery.redelivered:
            self.metrics.redelivered.inc()
        key: Key | None = None
        verdict: Verdict
        try:
            history = History.of(delivery)
            event = self.attempts.read(delivery, history)
            if not isinstance(event, Event):
                verdict = self.attempts.decided(event, history)
            else:
                named = key_of(event.source, event.id)
                match await self.inbox.claim(named, history.hop, delivery.message.body):
                    case Claim.SEEN:
                        self._duplicate(delivery, event)
                        return
                    case Claim.CONFLICT:
                        verdict = self.attempts.decided(_CONFLICT, history, event)
                    case Claim.TAKEN:
                        key = named
                        verdict = await self._handled(event, history)
            settled = await self.settle(delivery, verdict, key)
        except asyncio.CancelledError:
            if key is not None:
                self.inbox.forget(key)
            delivery.nack()
            raise
        except ConfigError:
            raise  # a right is missing: the service ends, and says so
        except Exception:  # noqa: BLE001 - one message must not end the consumer
            # A bug of ours, met by this one message: the others go on, and the delivery limit sets
            # it aside in the end.
            get_logger().exception("delivery_failed", message_id=delivery.message.message_id)
            if key is not None:
                self.inbox.forget(key)
            await asyncio.sleep(PAUSE_AFTER_A_BUG)
            delivery.reject()
            return
        self._tell(verdict, settled=settled)

    async def _handled(self, event: Event, history: History) -> Verdict:
        clock = asyncio.get_running_loop().time
        started = clock()
        if event.time is not None:
            lag = self.attempts.clock() / 1000 - event.time.timestamp()
            self.metrics.event_lag_seconds.observe(max(0.0, lag))
        self.metrics.in_flight.inc()
        try:
            verdict = await self.attempts.handle(event, history)
        finally:
            self.metrics.in_flight.dec()
        self.metrics.handler_seconds.labels(verdict.label).observe(clock() - started)
        return verdict

    def _duplicate(self, delivery: Delivery, event: Event) -> None:
        delivery.ack()
        self.metrics.consumed.labels(UNKNOWN_TYPE, "duplicate").inc()
        get_logger().debug("event_duplicate", event_id=event.id, event_type=event.type)

    def _tell(self, verdict: Verdict, *, settled: bool) -> None:
        event, failure = verdict.event, verdict.failure
        log = get_logger(
            event_id=event.id if event else None, event_type=event.type if event else None
        )
        if not settled:
            self.metrics.consumed.labels(verdict.label, "lost_channel").inc()
            log.debug("event_not_settled", outcome=type(verdict.outcome).__name__)
            return
        why = {} if failure is None else {"error": failure.error, "message": failure.message}
        outcome = "released"
        match verdict.outcome:
            case Done():
                outcome = "handled"
                log.debug("event_handled", attempt=verdict.history.attempts + 1)
            case RetryIn(delay=delay, counted=counted):
                outcome = "retried" if counted else "postponed"
                log.info(
                    "event_retried" if counted else "event_postponed",
                    attempt=verdict.history.attempts,
                    retry_in=round(delay, 2),
                    **why,
                )
            case Dead(reason=reason):
                outcome = "dead"
                self.metrics.dead_lettered.labels(verdict.label, reason.value).inc()
                log.warning(
                    "event_dead_lettered",
                    reason=reason.value,
                    attempts=verdict.history.attempts,
                    **why,
                )
            case Release() | Isolate():
                log.debug("event_released")
        self.metrics.consumed.labels(verdict.label, outcome).inc()
