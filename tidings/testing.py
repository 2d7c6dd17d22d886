"""Test a handler without a broker: `outcome = await deliver(charge, Event("order.created"))`.

Decoding, validation, the handler under its timeout, and the decision are those of production; only
the settling is left out, and the outcome returned instead.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.deadletter import Reason
from common.envelope import to_message
from common.errors import ConfigError
from common.event import Event
from common.history import ATTEMPT, FIRST_FAILED, History
from common.message import Delivery, Message
from common.topology import EVENTS
from consumer.attempt import Attempts, Run
from consumer.calling import Caller
from consumer.failure import Failure
from consumer.outcome import Dead, Done, Outcome, Release, RetryIn
from consumer.registry import build_registry, declarations_of
from consumer.transaction import Guard, Transaction
from consumer.verdict import Verdict

__all__ = ["Dead", "Done", "Outcome", "Reason", "Release", "RetryIn", "deliver"]

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _NoChannel:
    """Deliveries of a test are settled by nobody."""

    def alive(self) -> bool:
        return True

    def ack(self, tag: int) -> bool:
        return bool(tag)

    def nack(self, tag: int) -> bool:
        return bool(tag)

    def reject(self, tag: int) -> bool:
        return bool(tag)


async def deliver(
    handler: Callable[..., Any],
    event: Event | Message | bytes,
    *,
    attempt: int = 1,
    age: float = 0.0,
    state: Any = None,
    now: datetime = _NOW,
    roll: float = 0.0,
    database: sqlite3.Connection | None = None,
) -> Outcome:
    """Deliver an event to one `@handler` function and return what would become of it.

    `event` may be a Message or raw bytes, to see what becomes of malformed input. `attempt` is what
    `Context.attempt` says, `age` the seconds since its first failure, `state` what `@lifespan`
    would have yielded, `roll` in [0, 1) where the dice of the jitter fall. `database` is what a
    `Transaction` writes to (in memory, where it is not given): kept when the handler finishes.
    """
    declared = declarations_of(handler)
    if not declared:
        raise ConfigError(f"{handler.__name__} is not decorated with @handler")
    caller = Caller(concurrency=1)
    now_ms = int(now.timestamp() * 1000)
    attempts = Attempts(
        registry=build_registry(declared),
        group="test",
        clock=lambda: now_ms,
        dice=lambda: roll,
        state=state,
    )
    message = _message(event, now)
    before = {ATTEMPT: attempt - 1, FIRST_FAILED: now_ms - int(age * 1000)} if attempt > 1 else {}
    type_ = message.type or declared[0].pattern
    delivery = Delivery(
        message._replace(headers={**message.headers, **before}),
        exchange=EVENTS,
        routing_key=type_,
        redelivered=False,
        tag=1,
        channel=_NoChannel(),
    )
    try:
        history = History.of(delivery)
        found = attempts.read(delivery, history)
        if not isinstance(found, Event):
            return attempts.decided(found, history).outcome
        run = attempts.prepared(found, history)
        if isinstance(run, Verdict):
            return run.outcome
        failure = await _called(caller, run, database)
        return attempts.judged(failure, history, found, run.handler).outcome
    finally:
        caller.close()


async def _called(caller: Caller, run: Run, database: sqlite3.Connection | None) -> Failure | None:
    """Call the handler; where it asks for a transaction, in one of this database."""
    name = run.handler.parameters.transaction
    if name is None:
        return await caller.call(run.handler, run.arguments)
    connection = database or sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("BEGIN")
    guard = Guard(connection)
    failure = await caller.call(run.handler, {**run.arguments, name: Transaction(guard)})
    guard.close(interrupt=False)
    connection.execute("COMMIT" if failure is None else "ROLLBACK")
    return failure


def _message(event: Event | Message | bytes, now: datetime) -> Message:
    if isinstance(event, Message):
        return event
    if isinstance(event, bytes):
        return Message(event)
    return to_message(event.stamped(id="test-event", source="test", time=now))
