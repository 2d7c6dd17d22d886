"""Outbox -> broker: send with a window, forget what is confirmed, send everything else again.

Up to `window` entries are under way. What was not confirmed goes back to the outbox, which gives
the oldest out first: after a lost connection they are sent before anything newer. Always with the
same id, so that a copy the broker had after all is only a duplicate.
"""

import asyncio
import random
from functools import partial
from time import monotonic

from common.broker import Connection, Supervisor
from common.errors import (
    AccessRefused,
    BrokerUnavailable,
    ConfigError,
    InvalidEvent,
    TidingsError,
)
from common.logs import get_logger, says_debug
from common.message import Answer, Confirmed, Nacked
from common.metrics import Metrics
from common.seldom import Seldom
from producer.answers import AnswerCounts, explained, outcome
from producer.outbox.entry import Entry, Outbox
from producer.repair import Repair, Repairer
from producer.tiers import DelayTiers

WINDOW = 256
"""Entries under way. One confirm per round trip and entry: 256 keep a broker 25 ms away busy."""
MOST_PUT_OFF = 1024
"""Entries that wait for their next try. They are not under way, so that a queue that refuses all
it gets does not hold up the events of other queues; with so many of them nothing is sent."""
PUBLISH_SECONDS = 10.0
"""Without an answer for this long the same event is sent again."""
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds between an answer that was a No and the next try."""
ANSWER_SECONDS = 0.5
"""What an answer may take. No entry is sent again with less time than this before its deadline:
that would only turn a clear No into "it may be stored"."""
NOTICE_SECONDS = 10.0
"""Between two log lines about the same kind of answer."""


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
        tiers: DelayTiers,
        *,
        repair: Repair | None = None,
        window: int = WINDOW,
    ) -> None:
        self._outbox = outbox
        self._supervisor = supervisor
        self._counts = AnswerCounts(metrics)
        self._tiers = tiers
        self._repairer = Repairer(repair)
        self._window = window
        self._under_way = 0
        self._put_off = 0
        self._room = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._over = False
        self._notices = Seldom(NOTICE_SECONDS)
        self._log = get_logger(role="publish")
        self._tells_each = says_debug()

    async def run(self) -> None:
        """Publish until cancelled. Raises AccessRefused when the user may not publish."""
        async with self._tasks:
            try:
                await self._forward()
            finally:
                self._over = True

    async def _forward(self) -> None:
        while True:
            connection = await self._supervisor.connection()
            await connection.until_sendable()
            if not connection.sendable:
                await asyncio.sleep(0)  # closed; the supervisor hears of it in this turn
            while connection.sendable:
                while (room := self._places) <= 0:
                    self._room.clear()
                    await self._room.wait()
                self._send(await self._outbox.take(room), connection)

    @property
    def _places(self) -> int:
        return self._window - self._under_way if self._put_off < MOST_PUT_OFF else 0

    def _send(self, entries: list[Entry], connection: Connection) -> None:
        """Send what the connection takes now; the others keep their place for the next time."""
        now = monotonic()
        for entry in entries:
            if not entry.wanted:  # given up in this turn, and about to be withdrawn
                continue
            if not connection.sendable:
                self._outbox.give_back(entry)
                continue
            exchange = entry.publishing.exchange
            if not self._tiers.there(exchange):
                self._put_off += 1
                self._tasks.create_task(self._after_tier(entry, connection, exchange))
                continue
            answered = partial(self._answered, entry, connection)
            try:
                connection.send(entry.publishing, answered, timeout=PUBLISH_SECONDS)
            except InvalidEvent as error:
                self._refuse(entry, error)
                continue
            entry.sent_at = now
            self._under_way += 1

    def _answered(
        self, entry: Entry, connection: Connection, answer: Answer | AccessRefused | InvalidEvent
    ) -> None:
        """Take the answer to one entry; what takes time for it gets a task of its own."""
        self._under_way -= 1
        self._room.set()
        if isinstance(answer, TidingsError):
            self._never(entry, answer)
            return
        assert entry.sent_at is not None  # noqa: S101 - for the type checker: it was sent
        seconds = monotonic() - entry.sent_at
        publishing = entry.publishing
        self._counts.add(publishing.routing_key, answer, seconds)
        if isinstance(answer, Confirmed):
            self._outbox.confirm(entry)
            if self._tells_each:
                kind, identity = publishing.message.type, publishing.message.message_id
                self._log.debug("event_published", event_id=identity, event_type=kind)
        elif entry.wanted and not self._over:  # who gave it up found it under way
            entry.sent_at = None
            entry.last = answer
            if connection.closed.is_set():  # the supervisor has its own back-off
                self._outbox.give_back(entry)
                return
            self._put_off += 1
            silent = seconds >= PUBLISH_SECONDS
            self._tasks.create_task(self._again(entry, answer, connection, silent=silent))

    def _never(self, entry: Entry, error: AccessRefused | InvalidEvent) -> None:
        """Take an answer that no repetition mends: one event's own fault, or the end of it all."""
        if isinstance(error, InvalidEvent):
            self._refuse(entry, error)
        elif not self._over:
            self._over = True
            self._tasks.create_task(_raising(error))

    def _refuse(self, entry: Entry, error: InvalidEvent) -> None:
        kind = entry.publishing.message.type
        self._log.error("event_refused", event_type=kind, problem=str(error))
        self._outbox.refuse(entry, error)

    async def _again(
        self, entry: Entry, answer: Answer, connection: Connection, *, silent: bool
    ) -> None:
        """Give an entry back to the outbox when it makes sense to send it again."""
        try:
            await self._back_off(entry, answer, connection, silent=silent)
        finally:
            self._put_off -= 1
            self._room.set()
        self._outbox.give_back(entry)

    async def _after_tier(self, entry: Entry, connection: Connection, exchange: str) -> None:
        """Give an entry back when the delay tier that it asks for is there."""
        try:
            await self._tiers.make(connection, exchange)
        except BrokerUnavailable:
            await asyncio.sleep(FIRST_DELAY)
        except ConfigError as error:
            self._refuse(entry, InvalidEvent(f"it is published with a delay, but {error}"))
        finally:
            self._put_off -= 1
            self._room.set()
        self._outbox.give_back(entry)

    async def _back_off(
        self, entry: Entry, answer: Answer, connection: Connection, *, silent: bool
    ) -> None:
        """Wait until it makes sense to send again; `silent`: there was no answer at all."""
        entry.failures += 1
        kind = outcome(answer)
        if times := self._notices.due(kind):
            self._log.warning("not_confirmed", outcome=kind, times=times, why=explained(answer))
        if not isinstance(answer, Nacked) and not silent:
            self._tiers.doubt(entry.publishing.exchange)
            await self._repairer.repair(connection)  # an exchange or a queue was deleted
        delay = retry_delay(entry.failures, random.random())  # noqa: S311 - jitter, not a secret
        if entry.deadline is not None:
            left = entry.deadline - asyncio.get_running_loop().time()
            if left < delay + ANSWER_SECONDS:
                delay = max(left + ANSWER_SECONDS, 0.0)  # withdrawn meanwhile
        loop = asyncio.get_running_loop()
        until = loop.time() + delay
        while entry.wanted and (left := until - loop.time()) > 0:
            if entry.safe.done():
                await asyncio.sleep(left)
            else:
                await asyncio.wait((entry.safe,), timeout=left)


async def _raising(error: AccessRefused) -> None:
    raise error


def retry_delay(failures: int, roll: float) -> float:
    """Return the seconds before the next try: full jitter below a ceiling that doubles."""
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16))
    return FIRST_DELAY + roll * (ceiling - FIRST_DELAY)
