"""Read the arguments of `publish`: each is checked at the call, and named where it is wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from common.duration import seconds
from common.errors import InvalidEvent
from common.event import ExtensionValue
from common.event_writing import format_time
from common.topology import LARGEST_TIER

HIGHEST_PRIORITY = 31
"""Of a quorum queue on RabbitMQ 4.3; before it there are two levels (4.0) or none (3.x)."""
EXPIRY = "expirytime"
"""CloudEvents extension: when an event is of no use any more."""

Expiry = float | str | timedelta | datetime


def checked_priority(value: int | None) -> int | None:
    """Return a priority. Raises InvalidEvent."""
    if value is None:
        return None
    given = cast("object", value)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= value <= HIGHEST_PRIORITY:
        raise InvalidEvent(f"priority must be 0 to {HIGHEST_PRIORITY}, not {value!r:.40}")
    return value


def checked_delay(value: float | str | timedelta | None) -> float | None:
    """Return a delay in seconds; None for none. Raises InvalidEvent."""
    if value is None:
        return None
    delay = _seconds(value, "delay")
    if delay > LARGEST_TIER:
        days = LARGEST_TIER // 86_400
        raise InvalidEvent(f"delay must be at most {days} days, not {value!r:.40}")
    return delay or None


def checked_timeout(value: float) -> float:
    """Return a timeout in seconds. Raises InvalidEvent."""
    given = cast("object", value)
    if isinstance(given, bool) or not isinstance(given, int | float) or not value > 0:
        raise InvalidEvent(f"timeout must be a number of seconds over 0, not {value!r:.40}")
    return value


def extensions_of(
    given: Mapping[str, ExtensionValue] | None,
    *,
    key: str | None,
    expires: Expiry | None,
    now: datetime,
) -> dict[str, ExtensionValue]:
    """Join the extensions with those that have an argument of their own. Raises InvalidEvent."""
    if given is not None and not isinstance(cast("object", given), Mapping):
        raise InvalidEvent(f"extensions must be a mapping, not {given!r:.40}")
    found = dict(given) if given else {}
    if key is not None:
        if not isinstance(cast("object", key), str) or not key:
            raise InvalidEvent(f"key must be a non-empty string, not {key!r:.40}")
        found["partitionkey"] = key
    if expires is not None:
        found[EXPIRY] = format_time(_moment(expires, now))
    return found


def _moment(value: Expiry, now: datetime) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidEvent("expires has no time zone; use an aware datetime, or seconds")
        return value.astimezone(UTC)
    try:
        return now + timedelta(seconds=_seconds(value, "expires"))
    except OverflowError:
        raise InvalidEvent(f"expires is after the year 9999: {value!r:.40}") from None


def _seconds(value: float | str | timedelta, name: str) -> float:
    plain = value.total_seconds() if isinstance(value, timedelta) else value
    try:
        return seconds(plain)
    except ValueError as error:
        raise InvalidEvent(f"{name}: {error}") from None
