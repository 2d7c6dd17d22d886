"""The handler of a consumer that was given no modules: says each tick of the built-in ticker."""

from common.event import Event
from consumer.context import Context
from consumer.registry import Declaration, Registry, build_registry
from consumer.retrying import RetryPolicy


def say_tick(event: Event, context: Context) -> None:
    """Log the tick."""
    context.logger.info("tick", source=event.source, data=event.data)


def tick_registry(policy: RetryPolicy, timeout: float) -> Registry:
    """Return a registry with this one handler."""
    declared = Declaration("tidings.tick", say_tick, None, None, None, "consumer/ticks.py")
    return build_registry([declared], policy=policy, timeout=timeout)
