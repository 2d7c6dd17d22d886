"""Replay: send set-aside messages again, each confirmed by the broker before it leaves its queue.

A crash between confirm and ack repeats a message and never loses one. What is sent and not yet
acked is bounded: by the scan's window, because the broker hands out no more than that, and where
the scan has grown wider, by the number of messages on their way here.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import uuid4

from common.broker import Connection
from common.errors import (
    BrokerUnavailable,
    ConfirmUnknown,
    InvalidEvent,
    Rejected,
    TidingsError,
    Unroutable,
)
from common.message import Answer, Confirmed, Delivery, Nacked, Publishing, Returned
from ops.letters.letter import Letter, Wanted
from ops.letters.pace import Pace
from ops.letters.scan import Place, Scan
from ops.letters.shelf import Shelf

WINDOW = 100
"""Messages sent and not yet acked at most; as many may be repeated after a kill -9."""
REPLAYS_AT_MOST = 3
"""An event that has died this often after a replay is not cured by another one."""


class Left(StrEnum):
    """Why a message stays where it is; the text is for people."""

    OTHER = "not asked for"
    SPENT = f"replayed {REPLAYS_AT_MOST} times already (--force takes them too)"
    BACK = "back again after this replay"
    UNSENDABLE = "cannot be sent as they are (`show` one to see why)"


@dataclass(frozen=True, slots=True)
class Order:
    """What to replay, and how. `rate` is messages a second, 0 without a limit."""

    wanted: Wanted
    limit: int | None = None
    force: bool = False
    rate: float = 200.0


@dataclass(slots=True)
class Tally:
    """How far a run came. `unsure`: sent, but the ack found its channel gone: they come again."""

    looked: int = 0
    sent: int = 0
    unsure: int = 0
    left: Counter[Left] = field(default_factory=Counter)
    failure: TidingsError | None = None


def reason_to_leave(
    letter: Letter, order: Order, sent: Mapping[tuple[str, str], int]
) -> Left | None:
    """Say why a message is not replayed; None when it is. `sent`: name -> hop of what we sent."""
    if not order.wanted.picks(letter):
        return Left.OTHER
    # Each copy of an event has a higher hop than the one it replaced. So this is not another
    # letter about the same event, but what we sent a moment ago, failed again.
    if letter.id and letter.hop >= sent.get(letter.name, letter.hop + 1):
        return Left.BACK
    if letter.replays >= REPLAYS_AT_MOST and not order.force:
        return Left.SPENT
    return None


class Replay:
    """One run over a scan. `on_sent` is called with each letter after its ack."""

    def __init__(
        self,
        shelf: Shelf,
        order: Order,
        publisher: Connection,
        tally: Tally,
        on_sent: Callable[[Letter], None],
    ) -> None:
        self._shelf = shelf
        self._order = order
        self._publisher = publisher
        self._room = asyncio.Semaphore(WINDOW)
        self._pace = Pace(order.rate)
        self._sent: dict[tuple[str, str], int] = {}
        self._on_sent = on_sent
        self.tally = tally

    async def run(self, scan: Scan, stop: asyncio.Event) -> None:
        """Replay until the scan ends, `stop` is set, or the broker did not confirm one.

        Whatever ends it, what is on its way is finished first. The tally tells the rest.
        """
        async with asyncio.TaskGroup() as under_way:
            try:
                await self._take(scan, stop, under_way)
            except TidingsError as error:
                self._fail(scan, error)

    async def _take(self, scan: Scan, stop: asyncio.Event, under_way: asyncio.TaskGroup) -> None:
        taken = 0
        async for delivery in scan.deliveries():
            self.tally.looked += 1
            letter = self._shelf.letter_of(delivery)
            left = reason_to_leave(letter, self._order, self._sent)
            if left is not None:
                self.tally.left[left] += 1
                scan.hold(delivery)
                continue
            await self._room.acquire()
            await self._wait_for_turn(stop)
            if stop.is_set() or self.tally.failure:
                return
            self._sent[letter.name] = letter.hop + 1
            under_way.create_task(self._send(scan, delivery, letter))
            taken += 1
            if taken == self._order.limit:
                return

    async def _wait_for_turn(self, stop: asyncio.Event) -> None:
        delay = self._pace.delay(asyncio.get_running_loop().time())
        if delay:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay)

    async def _send(self, scan: Scan, delivery: Delivery, letter: Letter) -> None:
        publishing = self._shelf.again(delivery, letter.id or str(uuid4()))
        try:
            answer = await self._publisher.publish(publishing)
        except InvalidEvent:
            self.tally.left[Left.UNSENDABLE] += 1
            scan.hold(delivery)
        except TidingsError as error:
            self._fail(scan, error)
        else:
            if isinstance(answer, Confirmed):
                self._confirmed(scan, delivery, letter)
            else:
                lost = self._publisher.closed.is_set()
                self._fail(scan, _failure(answer, publishing, lost=lost))
        finally:
            self._room.release()

    def _confirmed(self, scan: Scan, delivery: Delivery, letter: Letter) -> None:
        self.tally.sent += 1
        if not scan.ack(Place.of(delivery)):
            self.tally.unsure += 1
        self._on_sent(letter)

    def _fail(self, scan: Scan, error: TidingsError) -> None:
        """Take no more. Raising here would cancel the others in mid-air, sent and unconfirmed."""
        self.tally.failure = self.tally.failure or error
        scan.halt()


def _failure(answer: Answer, publishing: Publishing, *, lost: bool) -> TidingsError:
    where = f"exchange '{publishing.exchange}', routing key '{publishing.routing_key}'"
    match answer:
        case Nacked():
            return Rejected(f"{where}: the broker refused to store it (a full queue?)")
        case Returned(reply):
            return Unroutable(f"{where}: routed to no queue ({reply})")
        case Confirmed():
            raise AssertionError(answer)
    if lost:
        return BrokerUnavailable(f"connection lost: {answer.why}")
    return ConfirmUnknown(f"{where}: no confirm: {answer.why}")
