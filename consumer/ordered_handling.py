"""What an ordered home does with a delivery: find its lane, run it, and a suspect with a note."""

from contextlib import suppress
from itertools import count

from common.envelope import ordering_key
from common.errors import BrokerUnavailable
from common.event import Event
from common.history import History
from common.message import Delivery
from common.stopping import to_its_end
from consumer.attempt import Attempts
from consumer.notes import Notes, identity_of
from consumer.ordered_intake import InHand
from consumer.process import RETURNS, Process
from consumer.suspicion import returns_of, suspected_in_place

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
        read = self._attempts.read(delivery, History.of(delivery))
        key = ordering_key(read) if isinstance(read, Event) else None
        return InHand(delivery, key or f"\0{next(self._numbers)}", alone, at, read)

    async def __call__(self, one: InHand) -> float | None:
        """Handle it; seconds where it is to be handled again after so long."""
        if not one.alone:
            return await self._process(one.delivery, one.read)
        identity = identity_of(one.delivery)
        try:
            deaths = await self._notes.begun(identity)
        except BrokerUnavailable:
            return AGAIN_SECONDS
        try:
            return await self._process(one.delivery, one.read, deaths)
        finally:
            with suppress(BrokerUnavailable):
                # Also when the drain has cancelled this: a note that stays counts as a death.
                await to_its_end(self._notes.ended(identity))
