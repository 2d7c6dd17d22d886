"""One delivery from arrival to settlement: read, claim, handle, decide, settle, tell."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from common.errors import ConfigError
from common.event import Event
from common.history import History
from common.instruments import Count, Spread
from common.logs import get_logger, says_debug
from common.message import Delivery
from common.metrics import UNKNOWN_TYPE, Metrics
from consumer.attempt import Attempts, Run
from consumer.calling import Caller
from consumer.failure import Cause, Failure
from consumer.in_place import InPlace
from consumer.inbox import Claim, Inbox, Key, key_of
from consumer.outcome import Dead, Done, Isolate, Outcome, Release, RetryIn
from consumer.registry import Handler
from consumer.settle import Settle
from consumer.suspicion import (
    UNCOUNTED_NACKS,
    Version,
    alone,
    crashed_in_place,
    handed_back,
    returns_of,
    suspected,
)
from consumer.verdict import Verdict

RETURNS = "x-delivery-count"
"""The broker's header: how often a message came back to its quorum queue."""
PAUSE_AFTER_A_BUG = 1.0
"""Seconds: a message that meets a bug of ours comes back at once."""

_CONFLICT = Failure(
    Cause.CONFLICT, message="another event with this source and id, and other content, came before"
)


class _Counts(NamedTuple):
    """The readings of one handler, looked up once."""

    seconds: Spread
    handled: Count
    lost: Count


class Process:
    """What happens to each delivery. Metrics and the log line come after the settle."""

    def __init__(
        self,
        attempts: Attempts,
        caller: Caller,
        inbox: Inbox,
        settle: Settle,
        metrics: Metrics,
        *,
        alone: bool = False,
        version: Callable[[], Version] = lambda: UNCOUNTED_NACKS,
        place: InPlace | None = None,
    ) -> None:
        """`place`: where events keep their places."""
        self._alone = alone
        self._place = place
        self._version = version
        self._attempts = attempts
        self._caller = caller
        self._inbox = inbox
        self._settle = settle
        self._metrics = metrics
        self._lag = metrics.event_lag_seconds.labels()
        self._counts: dict[str, _Counts] = {}
        self._terse = not says_debug()
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(  # noqa: C901, PLR0912, PLR0915 - straight on: one coroutine more costs each event
        self, delivery: Delivery, read: Event | Failure | None = None, deaths: int = 0
    ) -> float | None:
        """Process one delivery; when cancelled, hand it back.

        Only where events keep their places: `read` is what it was read as, if it was, `deaths` how
        many processes ended in a run of it with nothing beside it; and seconds are returned where
        it is to be processed again after so long, being unsettled.
        """
        key: Key | None = None
        try:
            history = History.of(delivery)
            suspect = self._suspicion(delivery, history, deaths) if delivery.redelivered else None
            if suspect is not None:
                verdict = suspect  # before anything of it is read
            elif isinstance(event := read or self._attempts.read(delivery, history), Failure):
                verdict = self._attempts.decided(event, history)
            else:
                named = key_of(event.source, event.id)
                body = delivery.message.body
                claim = self._inbox.take(named, history.hop, body)
                if claim is None:
                    claim = await self._inbox.claim(named, history.hop, body)
                if claim is Claim.TAKEN:
                    key = named
                    if self._place is not None:
                        history = self._place.remembered(named, history)
                    run = self._attempts.prepared(event, history)
                    if isinstance(run, Verdict):
                        verdict = run
                    elif run.handler.parameters.asks_for_transaction:
                        ended = await self._in_transaction(run, event, history, named)
                        if ended is None:
                            self._duplicate(delivery, event)
                            return None
                        verdict = ended
                    else:
                        counts = self._counts_of(event, run.handler)
                        self._in_flight += 1
                        started = perf_counter()
                        try:
                            failure = await self._caller.call(run.handler, run.arguments)
                        finally:
                            self._in_flight -= 1
                        counts.seconds.observe(perf_counter() - started)
                        if failure is None and self._terse:
                            # Most events, and all that is done for them: no verdict, no line.
                            if not self._inbox.done(named):
                                await self._inbox.finish(named, done=True)
                            (counts.handled if self._settle.ack(delivery) else counts.lost).inc()
                            return None
                        verdict = self._attempts.judged(failure, history, event, run.handler)
                elif claim is Claim.SEEN:
                    self._duplicate(delivery, event)
                    return None
                else:
                    verdict = self._attempts.decided(_CONFLICT, history, event)
            if self._place is not None and self._place.keeps(verdict.outcome):
                self._let_go(key)
                self._tell(verdict, settled=True)
                return self._place.hold(key, verdict)
            if self._alone and isinstance(verdict.outcome, Release):
                verdict = verdict._replace(outcome=handed_back(history.deaths, self._version()))
            settled = await self._settle(delivery, verdict, key)
        except asyncio.CancelledError:
            self._let_go(key)
            if self._place is None:
                delivery.nack()
            raise
        except ConfigError:
            raise  # a right is missing: the service ends, and says so
        except Exception as error:  # noqa: BLE001 - one message must not end the consumer
            # A bug of ours, met by this one message: the others go on, and the delivery limit sets
            # it aside in the end.
            get_logger().exception("delivery_failed", message_id=delivery.message.message_id)
            self._let_go(key)
            if self._place is None:
                await asyncio.sleep(PAUSE_AFTER_A_BUG)
                delivery.reject()
                return None
            spent = self._place.after_bug(delivery, History.of(delivery), error)
            if spent is None or not await self._settle(delivery, spent, None):
                return PAUSE_AFTER_A_BUG
            verdict, settled = spent, True
        self._tell(verdict, settled=settled)
        return None

    async def _in_transaction(
        self, run: Run, event: Event, history: History, key: Key
    ) -> Verdict | None:
        """Run a handler whose effects are kept with the inbox's row; None: it was done meanwhile.

        When it finished, the inbox has recorded it already.
        """
        async with self._inbox.transaction(key) as begun:
            if begun.claim is Claim.CONFLICT:
                return self._attempts.decided(_CONFLICT, history, event)
            if begun.claim is not Claim.TAKEN:
                return None
            arguments = {
                **run.arguments,
                str(run.handler.parameters.transaction): begun.transaction,
            }
            counts = self._counts_of(event, run.handler)
            self._in_flight += 1
            started = perf_counter()
            try:
                failure = await begun.end(await self._caller.call(run.handler, arguments))
            finally:
                self._in_flight -= 1
            counts.seconds.observe(perf_counter() - started)
        return self._attempts.judged(failure, history, event, run.handler)

    def _suspicion(self, delivery: Delivery, history: History, deaths: int) -> Verdict | None:
        """Say what becomes of an event that may have killed a process; None: handle it."""
        self._metrics.redelivered.inc()
        if self._place is not None:
            crashed = crashed_in_place(deaths)
            return None if crashed is None else self._attempts.decided(crashed, history)
        count = delivery.message.headers.get(RETURNS)
        returns = returns_of(count, redelivered=delivery.redelivered)
        if not self._alone:
            if not suspected(returns, self._version()):
                return None
            return self._attempts.decided(Failure(Cause.SUSPECT), history)
        found = alone(history.deaths, returns)
        if isinstance(found, Failure):
            return self._attempts.decided(found, history)
        return None if found is None else Verdict(found, history)

    def _counts_of(self, event: Event, handler: Handler) -> _Counts:
        """Count how late a run starts; return what counts its end."""
        if event.time is not None:
            lag = self._attempts.clock() / 1000 - event.time.timestamp()
            self._lag.observe(lag if lag > 0 else 0.0)
        label = handler.pattern
        counts = self._counts.get(label)
        if counts is None:
            consumed = self._metrics.consumed
            counts = self._counts[label] = _Counts(
                self._metrics.handler_seconds.labels(label),
                consumed.labels(label, "handled"),
                consumed.labels(label, "lost_channel"),
            )
        return counts

    def _let_go(self, key: Key | None) -> None:
        if key is not None:
            self._inbox.forget(key)

    def _duplicate(self, delivery: Delivery, event: Event) -> None:
        delivery.ack()
        self._metrics.consumed.labels(UNKNOWN_TYPE, "duplicate").inc()
        get_logger().debug("event_duplicate", event_id=event.id, event_type=event.type)

    def _tell(self, verdict: Verdict, *, settled: bool) -> None:
        outcome = _word(verdict.outcome) if settled else "lost_channel"
        self._metrics.consumed.labels(verdict.label, outcome).inc()
        event, failure, attempts = verdict.event, verdict.failure, verdict.history.attempts
        log = get_logger(
            event_id=event.id if event else None, event_type=event.type if event else None
        )
        why = {} if failure is None else {"error": failure.error, "message": failure.message}
        if outcome == "lost_channel":
            log.debug("event_not_settled", outcome=type(verdict.outcome).__name__)
            return
        match verdict.outcome:
            case Done():
                log.debug("event_handled", attempt=attempts + 1)
            case RetryIn(delay=delay):
                said = "event_retried" if outcome == "retried" else "event_postponed"
                log.info(said, attempt=attempts, retry_in=round(delay, 2), **why)
            case Dead(reason=reason):
                self._metrics.dead_lettered.labels(verdict.label, reason.value).inc()
                log.warning("event_dead_lettered", reason=reason.value, attempts=attempts, **why)
            case Isolate(delay=delay, deaths=deaths):
                key = verdict.history.routing_key
                log.warning("event_isolated", routing_key=key, deaths=deaths, retry_in=delay)
            case Release():
                log.debug("event_released")


def _word(outcome: Outcome) -> str:
    """Name an outcome in the metrics."""
    match outcome:
        case Done():
            return "handled"
        case RetryIn(counted=counted):
            return "retried" if counted else "postponed"
        case Dead():
            return "dead"
        case Isolate():
            return "isolated"
        case Release():
            return "released"
