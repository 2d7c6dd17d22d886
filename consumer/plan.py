"""What a consumer with these settings handles, and the topology that follows from it."""

from dataclasses import replace

from common.group_topology import group_topology
from common.homes import Home, home_of
from common.topology import Topology
from consumer.registry import Registry, load_registry
from consumer.settings import ConsumerSettings
from consumer.ticks import tick_registry


def registry_for(settings: ConsumerSettings) -> Registry:
    """Load the modules that are named; without any, the built-in handler of ticks.

    Raises ConfigError, with file:line, for what is wrong with them.
    """
    if not settings.modules:
        return tick_registry(settings.policy, settings.handler_timeout)
    return load_registry(settings.modules, policy=settings.policy, timeout=settings.handler_timeout)


def topology_for(settings: ConsumerSettings, registry: Registry) -> Topology:
    """Return what the group needs.

    An event without a handler waits in a delay tier too, whatever the handlers' policies are.
    """
    longest = max(registry.longest_delay, settings.patience.no_handler_delay)
    home = home_for(settings)
    return group_topology(settings.group, registry.patterns, longest_delay=longest, home=home)


def without_leads(topology: Topology, home: Home) -> Topology:
    """Leave out what leads to the home: that is not made anew once the group moves away."""
    led = tuple(one for one in topology.bindings if one.queue != home.entrance)
    return replace(topology, bindings=led)


def home_for(settings: ConsumerSettings) -> Home:
    """Return the home of the group's events, which follows from their order."""
    return home_of(settings.group, settings.order, settings.partitions)
