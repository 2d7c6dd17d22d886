"""Handlers' own writes, in one transaction with the row that says that their event was handled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from common.stopping import to_its_end
from consumer.failure import Cause, Failure, classify
from consumer.inbox.claim import Claim
from consumer.inbox.file import Row, Unusable
from consumer.inbox.handlers import HandlersWriter
from consumer.inbox.turns import Turns
from consumer.transaction import Transaction, TransactionMisuse


@dataclass(slots=True)
class Effects:
    """Begins such transactions, one at a time, between the turns of the other writers.

    `committed` is told of each that is kept.
    """

    writer: HandlersWriter
    writes: Turns[Row, None]
    committed: Callable[[Row], None]
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Where handlers wait for each other: between two of them the other writers have a turn."""

    @asynccontextmanager
    async def transaction(self, row: Row) -> AsyncIterator["BegunHere"]:
        """Begin, as soon as that is possible; see `Inbox.transaction`."""
        async with self.line:
            while True:
                await self.writes.well()
                async with self.writes.lock:
                    try:
                        try:
                            begin = self.writes.in_thread(self.writer.begin, row)
                            claim = await to_its_end(begin)
                        except Unusable as error:
                            self.writes.failed(error)
                            continue
                        yield BegunHere(self, row, claim)
                        return
                    finally:
                        if self.writer.busy:  # left in the middle, even while it began
                            await to_its_end(self.writes.in_thread(self.writer.roll_back))


@dataclass(slots=True)
class BegunHere:
    """See `protocol.Begun`."""

    effects: Effects
    row: Row
    claim: Claim

    @property
    def transaction(self) -> Transaction:
        """What the handler gets."""
        return self.effects.writer.transaction

    async def end(self, failure: Failure | None) -> Failure | None:
        """Commit or undo."""
        writes, writer = self.effects.writes, self.effects.writer
        if failure is None:
            return await to_its_end(self._commit())
        ailment = await to_its_end(writes.in_thread(writer.roll_back))
        return failure if ailment is None else self._not_its_fault(ailment)

    async def _commit(self) -> Failure | None:
        try:
            await self.effects.writes.in_thread(self.effects.writer.commit)
        except Unusable as error:
            return self._not_its_fault(error)
        except TransactionMisuse as error:
            return classify(error)
        self.effects.committed(self.row)
        return None

    def _not_its_fault(self, error: Unusable) -> Failure:
        """Hand the event back without counting, and let nobody begin before the file is well."""
        self.effects.writes.failed(error)
        return Failure(Cause.INTERRUPTED, error="InboxUnusable", message=str(error))
