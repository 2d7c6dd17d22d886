"""Tidings: write `@handler("order.created")`, point `AMQP_URI` at a broker, and run.

The public names, and nothing else: what is not listed here may change in any version.
"""

from typing import TYPE_CHECKING, Any

from tidings.neighbours import refuse_name_collisions

refuse_name_collisions()

if TYPE_CHECKING:
    from common.deadletter import Reason
    from common.errors import (
        BrokerUnavailable,
        ConfigError,
        ConfirmUnknown,
        InvalidEvent,
        OutboxFull,
        Rejected,
        TidingsError,
        Unroutable,
    )
    from common.event import Event
    from consumer.context import Context
    from consumer.exits import Reject, Retry, Snooze
    from consumer.failure import Failure
    from consumer.outcome import Attempt, Dead, Done, RetryIn
    from consumer.registry import handler, lifespan
    from consumer.retrying import RetryPolicy
    from consumer.transaction import Transaction
    from producer.facade import Producer
    from producer.schedule import Tick
    from producer.source import source
    from producer.source_context import SourceContext

__all__ = [
    "Attempt",
    "BrokerUnavailable",
    "ConfigError",
    "ConfirmUnknown",
    "Context",
    "Dead",
    "Done",
    "Event",
    "Failure",
    "InvalidEvent",
    "OutboxFull",
    "Producer",
    "Reason",
    "Reject",
    "Rejected",
    "Retry",
    "RetryIn",
    "RetryPolicy",
    "Snooze",
    "SourceContext",
    "Tick",
    "TidingsError",
    "Transaction",
    "Unroutable",
    "handler",
    "lifespan",
    "source",
]

_HOMES = {
    "common.deadletter": ("Reason",),
    "common.errors": (
        "BrokerUnavailable",
        "ConfigError",
        "ConfirmUnknown",
        "InvalidEvent",
        "OutboxFull",
        "Rejected",
        "TidingsError",
        "Unroutable",
    ),
    "common.event": ("Event",),
    "consumer.context": ("Context",),
    "consumer.exits": ("Reject", "Retry", "Snooze"),
    "consumer.failure": ("Failure",),
    "consumer.outcome": ("Attempt", "Dead", "Done", "RetryIn"),
    "consumer.registry": ("handler", "lifespan"),
    "consumer.retrying": ("RetryPolicy",),
    "consumer.transaction": ("Transaction",),
    "producer.facade": ("Producer",),
    "producer.schedule": ("Tick",),
    "producer.source": ("source",),
    "producer.source_context": ("SourceContext",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `tidings --help` needs none of them."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'tidings' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415 - only when needed

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
