"""What crosses the broker's door: values in (`Publishing`), values out (`Delivery`), and answers.

No AMQP library's object appears here, so that the implementation behind the door can change. What
is made for every event is a NamedTuple: as immutable as a frozen dataclass, and made in a quarter
of the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

HeaderValue = object
"""A header as the broker delivered it: str, int, bool, float, bytes, list, dict, datetime, None."""

NO_HEADERS: Mapping[str, HeaderValue] = MappingProxyType({})

UNREADABLE = "tidings-unreadable"
"""The one header of a message whose properties or headers cannot be decoded: the reason."""


class Message(NamedTuple):
    """A body with the AMQP 0-9-1 properties that Tidings reads and writes.

    Texts that are not UTF-8 arrive with surrogate escapes, and are sent on byte for byte.
    """

    body: bytes
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    app_id: str | None = None
    timestamp: int | None = None
    """Seconds since the epoch: the property has no finer resolution."""
    priority: int | None = None
    headers: Mapping[str, HeaderValue] = NO_HEADERS


class Publishing(NamedTuple):
    """A message on its way out. Always mandatory, persistent and confirmed: there is no option."""

    exchange: str
    routing_key: str
    message: Message
    expiration: float | None = None
    """Seconds until the broker expires it; used for the delay tiers only."""


class Settler(Protocol):
    """The channel a delivery came from; a delivery tag means nothing anywhere else."""

    def alive(self) -> bool:
        """Whether a settle can still reach the broker; once False, for ever."""
        ...

    def ack(self, tag: int) -> bool:
        """Acknowledge; False when the channel is gone and the delivery will come again."""
        ...

    def nack(self, tag: int) -> bool:
        """Give back, uncounted on RabbitMQ 4.3 and later; False when the channel is gone."""
        ...

    def reject(self, tag: int) -> bool:
        """Give back as failed: counts toward the queue's delivery limit on every version."""
        ...


class Delivery(NamedTuple):
    """A message as it arrived. Each ends in exactly one `ack`, `nack` or `reject`."""

    message: Message
    exchange: str
    routing_key: str
    redelivered: bool
    tag: int
    channel: Settler

    def alive(self) -> bool:
        """Whether it can still be settled; if not, the broker gives it out again."""
        return self.channel.alive()

    def ack(self) -> bool:
        """Acknowledge; False (and nothing else) when the channel it came from is gone."""
        return self.channel.ack(self.tag)

    def nack(self) -> bool:
        """Hand it back to the queue: not the event's fault (a shutdown, a lost broker)."""
        return self.channel.nack(self.tag)

    def reject(self) -> bool:
        """Hand it back as failed: the queue's delivery limit will set it aside in the end."""
        return self.channel.reject(self.tag)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Stored by every queue it was routed to."""


@dataclass(frozen=True, slots=True)
class Nacked:
    """A queue refused it (full); other queues of the same routing may have stored it."""


@dataclass(frozen=True, slots=True)
class Returned:
    """Routed to no queue: stored nowhere."""

    reply: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer: connection or channel lost, or the deadline passed. It may be stored."""

    why: str


CONFIRMED = Confirmed()

Answer = Confirmed | Nacked | Returned | Unknown
"""What the broker said to a publish; anything but `Confirmed` means it is still ours to send."""
