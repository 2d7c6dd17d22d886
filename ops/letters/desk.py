"""`Desk`: where a command sits while it works on a shelf: which broker, which queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from common.broker import connect
from common.message import Delivery
from common.settings import load
from ops.command import Stop, say
from ops.letters.letter import Letter, Wanted
from ops.letters.scan import Scan, scan
from ops.letters.shelf import Shelf, dead_shelf, unrouted_shelf
from ops.settings import OpsSettings

LOOKING_WINDOW = 1000
"""Messages on their way to us while we only look: their bodies are dropped at once."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every command here needs: where the broker is and which shelf it is about."""

    uri: str
    shelf: Shelf

    @classmethod
    def dead(cls, group: str | None) -> "Desk":
        """Dead letters of a group (default: the settings' group). Raises ConfigError."""
        settings = load(OpsSettings, group=group)
        return cls(settings.uri, dead_shelf(settings.group))

    @classmethod
    def unrouted(cls) -> "Desk":
        """Events that nobody was bound for. Raises ConfigError."""
        return cls(load(OpsSettings).uri, unrouted_shelf())

    @asynccontextmanager
    async def scan(self, window: int, stop: Stop) -> AsyncIterator[Scan]:
        """Scan the shelf's queue on a connection of its own."""
        async with (
            connect(self.uri, name=f"tidings: {self.shelf.queue}") as connection,
            scan(connection, self.shelf.queue, window=window, stop=stop) as found,
        ):
            yield found

    def say_nothing_found(self, scan: Scan) -> None:
        """Say that there is nothing, and why that may be only half true."""
        if scan.depth:
            say(f"none of {self.shelf.counted(scan.depth)} matches")
        else:
            say(f"no {self.shelf.plural} (those that another command holds now do not count)")


async def matching(
    desk: Desk, found: Scan, wanted: Wanted, limit: int | None
) -> AsyncIterator[tuple[Letter, Delivery]]:
    """Yield what matches; what does not is held out of the way."""
    count = 0
    async for delivery in found.deliveries():
        letter = desk.shelf.letter_of(delivery)
        if not wanted.picks(letter):
            found.hold(delivery)
            continue
        yield letter, delivery
        count += 1
        if count == limit:
            return
