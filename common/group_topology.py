"""All that a group needs: its home, dead letters, suspects, way back and delay tiers. PURE."""

from collections.abc import Iterable

from common.homes import Home, home_topology
from common.topology import (
    EVENTS,
    UNROUTED,
    Binding,
    Exchange,
    Queue,
    Topology,
    dead_name,
    events_topology,
    return_name,
    suspects_name,
    tier_topology,
    tiers_up_to,
)


def group_topology(
    group: str, types: Iterable[str], *, longest_delay: float, home: Home | None = None
) -> Topology:
    """Return what a group needs whose handlers ask for these types; `home`: by default no order."""
    home = home or Home(group)
    return group_base(group, longest_delay=longest_delay) + home_topology(home) + leads(home, types)


def group_base(group: str, *, longest_delay: float) -> Topology:
    """Return what a group has whatever its home is."""
    dead, back, suspects = dead_name(group), return_name(group), suspects_name(group)
    whole = events_topology() + Topology(
        exchanges=(
            Exchange(dead, "direct"),
            Exchange(back, "direct", (("alternate-exchange", UNROUTED),)),
            Exchange(suspects, "fanout"),
        ),
        queues=(Queue(dead), Queue(suspects)),
        bindings=(
            Binding(dead, dead, group),
            Binding(back, suspects, suspects),
            Binding(suspects, suspects),
        ),
    )
    for seconds in tiers_up_to(longest_delay):
        whole += tier_topology(group, seconds)
    return whole


def leads(home: Home, types: Iterable[str]) -> Topology:
    """Return what leads to a home: events of these types, and what comes back to the group."""
    return Topology(
        bindings=(
            home.led_from(return_name(home.group), home.group),
            *(home.led_from(EVENTS, type_) for type_ in sorted(set(types))),
        )
    )
