"""What an event has been through in a group so far, carried in our own headers on every copy. PURE.

The broker's own counts (`x-delivery-count`, `x-death`) can be forged by a sender and mean different
things in different versions; these are written only by the consumer that makes the copy.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from common.message import Delivery, HeaderValue
from common.slot import only_a_slot

ATTEMPT = "tidings-attempt"
HOP = "tidings-hop"
FIRST_FAILED = "tidings-first-failed"
ATTEMPT_TIMES = "tidings-attempt-times"
SNOOZED_MS = "tidings-snoozed-ms"
WAITING_SINCE = "tidings-no-handler-since"
EXCHANGE = "tidings-exchange"
ROUTING_KEY = "tidings-routing-key"
REPLAYS = "tidings-replays"
DEATHS = "tidings-deaths-alone"

LARGEST = 2**53
"""A number beyond is forged; one more than it must still fit a header, or a copy would seem old."""
KEPT_TIMES = 32
"""Times of the last attempts that are kept; the count goes on."""


class History(NamedTuple):
    """Times are whole milliseconds since the epoch; 0 means it has not happened."""

    attempts: int = 0
    """Times a handler was started for it and failed."""
    hop: int = 0
    """Copies made of it: tells a copy from the original it replaced."""
    first_failed_ms: int = 0
    attempt_times_ms: tuple[int, ...] = ()
    snoozed_ms: int = 0
    waiting_since_ms: int = 0
    """Since when no handler has been found for its type."""
    exchange: str = ""
    routing_key: str = ""
    replays: int = 0
    deaths: int = 0
    """Processes that ended while they ran it alone; written on copies in the suspects' queue."""

    @classmethod
    def of(cls, delivery: Delivery) -> "History":
        """Read it from a delivery; what is absent or not ours counts as never happened."""
        headers = delivery.message.headers
        if not headers or only_a_slot(headers):
            return _untouched(delivery.exchange, delivery.routing_key)
        return cls(
            attempts=_count(headers, ATTEMPT),
            hop=_count(headers, HOP),
            first_failed_ms=_count(headers, FIRST_FAILED),
            attempt_times_ms=_times(headers.get(ATTEMPT_TIMES)),
            snoozed_ms=_count(headers, SNOOZED_MS),
            waiting_since_ms=_count(headers, WAITING_SINCE),
            exchange=_text(headers, EXCHANGE) or delivery.exchange,
            routing_key=_text(headers, ROUTING_KEY) or delivery.routing_key,
            replays=_count(headers, REPLAYS),
            deaths=_count(headers, DEATHS),
        )

    def headers(self) -> dict[str, str | int]:
        """Write it for the next copy."""
        found: dict[str, str | int] = {
            ATTEMPT: self.attempts,
            HOP: self.hop,
            FIRST_FAILED: self.first_failed_ms,
            ATTEMPT_TIMES: ",".join(map(str, self.attempt_times_ms)),
            SNOOZED_MS: self.snoozed_ms,
            WAITING_SINCE: self.waiting_since_ms,
            EXCHANGE: self.exchange,
            ROUTING_KEY: self.routing_key,
            REPLAYS: self.replays,
            DEATHS: self.deaths,
        }
        return {name: value for name, value in found.items() if value not in (0, "")}

    def failed(self, now_ms: int) -> "History":
        """One more attempt has been made, and failed."""
        return self._replace(
            attempts=self.attempts + 1,
            first_failed_ms=self.first_failed_ms or now_ms,
            attempt_times_ms=(*self.attempt_times_ms, now_ms)[-KEPT_TIMES:],
            waiting_since_ms=0,
            deaths=0,
        )

    def copied(self) -> "History":
        """The next copy of it."""
        return self._replace(hop=self.hop + 1)

    def replayed(self) -> "History":
        """A fresh start after its death: counts are gone, where it came from and its hops stay."""
        return History(
            hop=self.hop + 1,
            exchange=self.exchange,
            routing_key=self.routing_key,
            replays=self.replays + 1,
        )

    def age(self, now_ms: int) -> float:
        """Seconds since the first failure; never negative, clocks differ between hosts."""
        if not self.first_failed_ms:
            return 0.0
        return max(0, now_ms - self.first_failed_ms) / 1000


@lru_cache(maxsize=1024)
def _untouched(exchange: str, routing_key: str) -> History:
    """Return what every event has that came this way for the first time."""
    return History(exchange=exchange, routing_key=routing_key)


def _count(headers: Mapping[str, HeaderValue], name: str) -> int:
    value = headers.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        return 0
    return value


def _text(headers: Mapping[str, HeaderValue], name: str) -> str:
    value = headers.get(name)
    return value if isinstance(value, str) else ""


def _times(value: HeaderValue) -> tuple[int, ...]:
    if not isinstance(value, str):
        return ()
    return tuple(int(part) for part in value.split(",")[-KEPT_TIMES:] if part.isdecimal())
