"""What a handler may ask for besides the event."""

from dataclasses import dataclass
from typing import Any

from common.event import Event
from common.logs import Logger, get_logger


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances of one run of a handler."""

    event: Event
    attempt: int
    """1 for the first run. Our own count: a shutdown or a lost connection does not add to it."""
    attempts: int
    """Runs there will be at most."""
    deadline: float
    """When the handler's timeout ends, on the event loop's clock (`loop.time()`)."""
    group: str
    state: Any = None
    """What the `@lifespan` of this process yielded."""
    replays: int = 0
    """Times it was replayed out of the dead letters."""

    @property
    def logger(self) -> Logger:
        """Says the event's id and type on each line."""
        return get_logger(event_id=self.event.id, event_type=self.event.type)
