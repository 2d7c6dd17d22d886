"""What a delivery asks for, before its handler runs and after: read, prepare, judge, decide.

It calls nothing and settles nothing: `process.py` does.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import iscoroutine
from typing import Any, NamedTuple
from uuid import uuid4

from common.deadletter import clipped
from common.duration import readable
from common.envelope import MAX_EVENT_BYTES, to_event
from common.event import Event, Malformed, parse_time
from common.history import History
from common.logs import get_logger
from common.message import Delivery
from common.modules import location_of
from consumer.context import Context
from consumer.failure import Cause, Failure, classify
from consumer.outcome import Advice, Attempt, Done, RetryIn
from consumer.parameters import InvalidPayload
from consumer.policy import Patience, advisable, decide, understood
from consumer.registry import Handler, Registry
from consumer.retrying import RetryPolicy
from consumer.verdict import Verdict

_DONE = Done()
_NOT_COUNTED = (Cause.SNOOZED, Cause.INTERRUPTED)


class Run(NamedTuple):
    """A call that is ready to be made."""

    handler: Handler
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Attempts:
    """Makes a `Verdict` of a delivery. `clock`: milliseconds since the epoch; `dice`: [0, 1)."""

    registry: Registry
    group: str
    clock: Callable[[], int]
    dice: Callable[[], float]
    policy: RetryPolicy = RetryPolicy()
    patience: Patience = Patience()
    max_bytes: int = MAX_EVENT_BYTES
    state: Any = None
    longest_delay: float | None = None
    """Seconds between two attempts at most, whatever is asked for; None: as long as that."""
    max_age: float | None = None
    """Seconds since its `time` after which an event is of no use; None: never."""

    def read(self, delivery: Delivery, history: History) -> Event | Failure:
        """Read the event; what cannot be read is a failure that no retry mends.

        A copy came by another exchange and key than the original, whose key may be its type.
        """
        size = len(delivery.message.body)
        if size > self.max_bytes:
            return Failure(
                Cause.TOO_LARGE, message=f"{size} bytes, over the limit of {self.max_bytes}"
            )
        event = to_event(
            delivery.message,
            routing_key=history.routing_key,
            exchange=history.exchange,
            fallback_id=delivery.message.message_id or str(uuid4()),
        )
        if isinstance(event, Malformed):
            return Failure(Cause.MALFORMED, message=event.problem)
        return event

    def prepared(self, event: Event, history: History) -> Run | Verdict:
        """Find the handler and make its arguments; where that fails, decide what follows."""
        handler = self.registry.find(event.type)
        if event.extensions and self._expired(event):
            moment = clipped(str(event.extensions["expirytime"]))
            failure = Failure(Cause.EXPIRED, message=f"expired at {moment}")
            return self.decided(failure, history, event, handler)
        if self.max_age is not None and event.time is not None:
            age = self.clock() / 1000 - event.time.timestamp()
            if age > self.max_age:
                limit = readable(self.max_age)
                message = f"made {readable(float(round(age)))} ago, and TIDINGS_MAX_AGE is {limit}"
                failure = Failure(Cause.STALE, message=message)
                return self.decided(failure, history, event, handler)
        if handler is None:
            missing = f"no handler for '{clipped(event.type)}' in here"
            failure = Failure(Cause.NO_HANDLER, message=missing)
            waiting = history._replace(waiting_since_ms=history.waiting_since_ms or self.clock())
            return self.decided(failure, waiting, event, None)
        context = self._context(event, history, handler) if handler.asks_for_context else None
        try:
            return Run(handler, handler.parameters.arguments(event, context))
        except InvalidPayload as error:
            failure = Failure(Cause.INVALID_PAYLOAD, message=clipped(str(error)))
            return self.decided(failure, history, event, handler)

    def judged(
        self, failure: Failure | None, history: History, event: Event, handler: Handler
    ) -> Verdict:
        """Decide what follows a run of the handler; None: it finished."""
        if failure is None:
            return Verdict(_DONE, history, event, None, handler)
        counted = history
        if failure.cause not in _NOT_COUNTED:
            counted = history.failed(self.clock())
        verdict = self.decided(failure, counted, event, handler)
        match verdict.outcome:
            case RetryIn(delay=delay, counted=False):
                snoozed = history.snoozed_ms + int(delay * 1000)
                # A handler was there, and its process lived on.
                uncounted = history._replace(snoozed_ms=snoozed, waiting_since_ms=0, deaths=0)
                return verdict._replace(history=uncounted)
        return verdict

    def decided(
        self,
        failure: Failure,
        history: History,
        event: Event | None = None,
        handler: Handler | None = None,
    ) -> Verdict:
        """Decide about a failure."""
        now = self.clock()
        waiting = history.waiting_since_ms
        attempt = Attempt(
            number=history.attempts,
            age=history.age(now),
            snoozed=history.snoozed_ms / 1000,
            unhandled_for=max(0, now - waiting) / 1000 if waiting else 0.0,
        )
        policy = handler.policy if handler else self.policy
        outcome = decide(
            policy,
            attempt,
            failure,
            roll=self.dice(),
            patience=self.patience,
            advice=self._advice(policy, attempt, failure),
        )
        if isinstance(outcome, RetryIn) and self.longest_delay is not None:
            outcome = replace(outcome, delay=min(outcome.delay, self.longest_delay))
        return Verdict(outcome, history, event, failure, handler)

    def _advice(self, policy: RetryPolicy, attempt: Attempt, failure: Failure) -> Advice:
        """Ask the user's function, if there is one; where it fails, the policy itself decides."""
        ask = policy.for_types(failure.types).decide
        if ask is None or not advisable(policy, failure):
            return None
        try:
            answer: object = ask(attempt, failure)
            if iscoroutine(answer):
                answer.close()  # or Python warns that nobody awaits it
            return understood(answer)
        except BaseException as error:  # noqa: BLE001 - no error of it may lose the event or end the consumer
            found = classify(error)
            get_logger().error(
                "decide_failed",
                function=location_of(ask),
                error=found.error,
                message=found.message,
                remedy="the policy's own delays hold meanwhile",
            )
            return None

    def _context(self, event: Event, history: History, handler: Handler) -> Context:
        return Context(
            event=event,
            attempt=history.attempts + 1,
            attempts=handler.policy.most_attempts,
            deadline=asyncio.get_running_loop().time() + handler.timeout,
            group=self.group,
            state=self.state,
            replays=history.replays,
        )

    def _expired(self, event: Event) -> bool:
        """`expirytime` is CloudEvents' own extension; one that cannot be read expires nothing."""
        if "expirytime" not in event.extensions:
            return False
        moment = parse_time(event.extensions["expirytime"])
        return moment is not None and moment.timestamp() * 1000 < self.clock()
