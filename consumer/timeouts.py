"""Handlers' timeouts against the broker's consumer timeout.

The broker takes an event back that nobody has settled for that long, and ends the consumer for it:
a run that outlasts it is run again, and again, on 4.3 without any count that would end it.
"""

from collections.abc import Iterable

from common.duration import readable
from common.errors import ConfigError
from consumer.registry import Handler
from consumer.settings import ConsumerSettings


def longest_timeout(consumer_timeout: float, drain_timeout: float) -> float:
    """Return how long a handler's timeout may be, in seconds, as the other two are.

    An event is unsettled from its delivery on: it may wait here behind a run as long as its own.
    What follows its run must be published and confirmed; the time of a stop is kept for that.
    """
    return max(0.0, (consumer_timeout - drain_timeout) / 2)


def too_long(
    handlers: Iterable[Handler], *, consumer_timeout: float, drain_timeout: float
) -> str | None:
    """Return the problem of the handler with the longest timeout; None when there is none."""
    longest = max(handlers, key=lambda one: one.timeout, default=None)
    most = longest_timeout(consumer_timeout, drain_timeout)
    if longest is None or longest.timeout <= most:
        return None
    return (
        f"the timeout of {readable(longest.timeout)} of @handler('{longest.pattern}') at "
        f"{longest.location} is too long for the broker's consumer timeout of "
        f"{readable(consumer_timeout)}: at most {readable(float(int(most)) or most)}, half of what "
        f"the drain timeout of {readable(drain_timeout)} leaves"
    )


def refuse_too_long(handlers: Iterable[Handler], settings: ConsumerSettings) -> None:
    """Raise ConfigError where a timeout is too long for the broker that the settings speak of."""
    problem = too_long(
        handlers,
        consumer_timeout=settings.consumer_timeout,
        drain_timeout=settings.drain_timeout,
    )
    if problem is not None:
        raise ConfigError(
            f"{problem}; shorten it (TIDINGS_HANDLER_TIMEOUT is for those without their own), or "
            "set TIDINGS_CONSUMER_TIMEOUT where the broker's is longer"
        )
