"""What an ordered home does with a delivery: find its lane, run it, and a suspect with a note."""

import asyncio
from contextlib import suppress
from itertools import count

from common.envelope import ordering_key
from common.errors import BrokerUnavailable
from common.event import Event
from common.history import History
from common.message import Delivery
from common.stopping import to_its_end
from consumer.attempt import Attempts
from consumer.failure import Failure
from consumer.in_place import identity_of
from consumer.notes import Notes
from consumer.ordered_intake import InHand
from consumer.process import RETURNS, Process
from consumer.suspicion import crashed_in_place, returns_of, suspected_in_place

AGAIN_SECONDS = 1.0
"""When no note could be left."""


class OrderedHandling:
    """Handles the deliveries of one group. `keyed`: only those of one key wait for each other."""

    def __init__(self, process: Process, attempts: Attempts, notes: Notes, *, keyed: bool) -> None:
        self._process = process
        self._attempts = attempts
        self._notes = notes
        self._keyed = keyed
        self._numbers = count()

    def arrived(self, delivery: Delivery, at: float) -> InHand:
        """Find its lane; what has no key, or cannot be read, has one for itself."""
        returns = returns_of(
            delivery.message.headers.get(RETURNS), redelivered=delivery.redelivered
        )
        alone = suspected_in_place(returns)
        if not self._keyed:
            return InHand(delivery, "", alone, at)
        try:
            read = self._attempts.read(delivery, History.of(delivery))
        except Exception:  # noqa: BLE001 - a bug of ours; its own run meets it again, and counts it
            return InHand(delivery, f"\0{next(self._numbers)}", alone, at)
        key = ordering_key(read) if isinstance(read, Event) else None
        return InHand(delivery, key or f"\0{next(self._numbers)}", alone, at, read)

    async def __call__(self, one: InHand) -> float | None:
        """Handle it; seconds where it is to be handled again after so long."""
        if not one.alone:
            return await self._process(one.delivery, self._read(one))
        identity, began = identity_of(one.delivery), False
        try:
            try:
                # To its end: a note that was written must be taken away.
                deaths = await to_its_end(self._notes.begun(identity))
            except BrokerUnavailable:
                return AGAIN_SECONDS
            began = True
            read = self._read(one) if crashed_in_place(deaths) is None else None
            return await self._process(one.delivery, read, deaths)
        except asyncio.CancelledError:
            began = True
            raise
        finally:
            if began:
                with suppress(BrokerUnavailable):
                    # Also when the drain has cancelled this: a note that stays counts as a death.
                    await to_its_end(self._notes.ended(identity))

    def _read(self, one: InHand) -> Event | Failure:
        """Read it once: one without an id is given one, and must keep it while it is held."""
        if one.read is None:
            one.read = self._attempts.read(one.delivery, History.of(one.delivery))
        return one.read
