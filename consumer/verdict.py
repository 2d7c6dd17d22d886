"""What came of one delivery, decided and not yet carried out."""

from typing import NamedTuple

from common.event import Event
from common.history import History
from consumer.failure import Failure
from consumer.outcome import Outcome
from consumer.registry import Handler


class Verdict(NamedTuple):
    """The outcome with everything that a retry copy, a dead letter or a log line has to say."""

    outcome: Outcome
    history: History
    """As it is to be written on the next copy."""
    event: Event | None = None
    """None where the message could not be read as one."""
    failure: Failure | None = None
    handler: Handler | None = None

    @property
    def label(self) -> str:
        """A bounded name of the type for metrics: senders may invent types without end."""
        return self.handler.pattern if self.handler else "unknown"
