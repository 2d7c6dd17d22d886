"""Outbox -> broker: send with a window, forget what is confirmed, send everything else again.

Up to `window` entries are under way. What was not confirmed goes back into the line, which is
sorted by the order of acceptance: after a lost connection the oldest is sent first, before
anything newer. Always with the same id, so that a copy the broker had after all is only a
duplicate.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import assert_never

from common.broker import Connection, Supervisor
from common.errors import BrokerUnavailable, ConfigError, InvalidEvent
from common.logs import get_logger
from common.message import Answer, Confirmed, Nacked, Returned, Unknown
from common.metrics import UNKNOWN_TYPE, Metrics
from producer.outbox import Entry, Outbox
from producer.seldom import Seldom

WINDOW = 256
"""Entries under way. One confirm per round trip and entry: 256 keep a broker 25 ms away busy."""
PUBLISH_SECONDS = 10.0
"""Without an answer for this long the same event is sent again."""
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds between an answer that was a No and the next try."""
ANSWER_SECONDS = 0.5
"""What an answer may take. No entry is sent again with less time than this before its deadline:
that would only turn a clear No into "it may be stored"."""
MOST_TYPES = 100
"""Event types with a metric of their own; a program that makes up types must not flood a scrape."""
NOTICE_SECONDS = 10.0
"""Between two log lines about the same kind of answer."""
REPAIR_SECONDS = 2.0
"""Between two tries to put the topology back."""

Repair = Callable[[Connection], Awaitable[None]]
"""Makes sure that the topology is there."""


class Publisher:
    """Gets the entries of an outbox confirmed, over whichever connection the supervisor has.

    `repair` is called when the broker's answer says that something was deleted; None where the
    topology is only checked.
    """

    def __init__(
        self,
        outbox: Outbox,
        supervisor: Supervisor,
        metrics: Metrics,
        *,
        repair: Repair | None = None,
        window: int = WINDOW,
    ) -> None:
        self._outbox = outbox
        self._supervisor = supervisor
        self._metrics = metrics
        self._repairer = _Repairer(repair)
        self._free = asyncio.Semaphore(window)
        self._line: asyncio.PriorityQueue[Entry] = asyncio.PriorityQueue()
        self._tasks = asyncio.TaskGroup()
        self._notices = Seldom(NOTICE_SECONDS)
        self._types: set[str] = set()
        self._log = get_logger(role="publish")

    async def run(self) -> None:
        """Publish until cancelled. Raises AccessRefused when the user may not publish."""
        async with self._tasks:
            self._tasks.create_task(self._fill(), name="outbox to line")
            self._tasks.create_task(self._send(), name="line to broker")

    async def _fill(self) -> None:
        while True:
            await self._free.acquire()
            self._line.put_nowait(await self._outbox.take())

    async def _send(self) -> None:
        while True:
            connection = await self._supervisor.connection()
            entry = await self._line.get()
            if connection.closed.is_set():
                self._line.put_nowait(entry)  # back to its place, for the next connection
                continue
            self._tasks.create_task(self._try(entry, connection))

    async def _try(self, entry: Entry, connection: Connection) -> None:
        """Send once. Ends with the entry settled and its place in the window free, or in line."""
        if not entry.settled.done():
            began = asyncio.get_running_loop().time()
            answer = await self._publish(entry, connection)
            if isinstance(answer, Confirmed):
                self._outbox.confirm(entry)
                message = entry.publishing.message
                self._log.debug(
                    "event_published", event_id=message.message_id, event_type=message.type
                )
            elif answer is not None:
                entry.last = answer
                if not connection.closed.is_set():  # else the supervisor has its own back-off
                    silent = asyncio.get_running_loop().time() - began >= PUBLISH_SECONDS
                    await self._back_off(entry, answer, connection, silent=silent)
        if entry.settled.done():
            self._free.release()
        else:
            self._line.put_nowait(entry)

    async def _publish(self, entry: Entry, connection: Connection) -> Answer | None:
        """Return the broker's answer; None when the event can never be sent, and was withdrawn."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        entry.in_flight = True
        try:
            answer = await connection.publish(entry.publishing, timeout=PUBLISH_SECONDS)
        except InvalidEvent as error:
            kind = entry.publishing.message.type
            self._log.error("event_refused", event_type=kind, problem=str(error))
            self._outbox.withdraw(entry, error)
            return None
        finally:
            entry.in_flight = False
        if not isinstance(answer, Unknown):
            self._metrics.confirm_seconds.observe(loop.time() - began)
        label = self._label(entry.publishing.routing_key)
        self._metrics.published.labels(label, _outcome(answer)).inc()
        return answer

    async def _back_off(
        self, entry: Entry, answer: Answer, connection: Connection, *, silent: bool
    ) -> None:
        """Wait until it makes sense to send again; `silent`: there was no answer at all."""
        entry.failures += 1
        outcome = _outcome(answer)
        if times := self._notices.due(outcome):
            self._log.warning("not_confirmed", outcome=outcome, times=times, why=explained(answer))
        if not isinstance(answer, Nacked) and not silent:
            await self._repairer.repair(connection)  # an exchange or a queue was deleted
        delay = retry_delay(entry.failures, random.random())  # noqa: S311 - jitter, not a secret
        if entry.deadline is not None:
            left = entry.deadline - asyncio.get_running_loop().time()
            if left < delay + ANSWER_SECONDS:
                delay = max(left + ANSWER_SECONDS, 0.0)  # withdrawn meanwhile
        await asyncio.wait((entry.settled,), timeout=delay)

    def _label(self, event_type: str) -> str:
        if event_type in self._types:
            return event_type
        if len(self._types) >= MOST_TYPES:
            return UNKNOWN_TYPE
        self._types.add(event_type)
        return event_type


class _Repairer:
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


def retry_delay(failures: int, roll: float) -> float:
    """Return the seconds before the next try: full jitter below a ceiling that doubles."""
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16))
    return FIRST_DELAY + roll * (ceiling - FIRST_DELAY)


def explained(answer: Answer) -> str:
    """Say an answer in words."""
    match answer:
        case Confirmed():
            return "stored"
        case Nacked():
            return "a queue that is bound for it refused it (full?)"
        case Returned(reply):
            return f"no queue is bound for it, and 'events.unrouted' is gone ({reply})"
        case Unknown(why):
            return why
    assert_never(answer)


def _outcome(answer: Answer) -> str:
    """Name an answer as the label of a metric."""
    return type(answer).__name__.lower()
