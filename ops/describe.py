"""`tidings describe`: which handler gets what, under which policy, and the queues that follow.

Loads the modules as a consumer would, and so finds the mistakes that a start would find.
"""

from argparse import Namespace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.duration import readable
from common.errors import EXIT_OK
from common.homes import Home
from common.settings import load
from common.topology import Binding, Queue, Topology
from consumer.plan import home_for, registry_for, topology_for
from consumer.registry import Registry
from consumer.settings import ConsumerSettings
from ops.leads import leads_of
from ops.letters.listing import cell, console, table

UNUSED_URI = "amqp://localhost/"
"""Where there is no broker there may be no AMQP_URI either."""


def describe(options: Namespace) -> int:
    """Print handlers, policies and queues. Raises ConfigError, with file:line."""
    settings = load(ConsumerSettings, modules=tuple(options.modules) or None, amqp_uri=UNUSED_URI)
    registry = registry_for(settings)
    topology = topology_for(settings, registry)
    out = console()
    out.print(Text(f"group {settings.group}, {settings.concurrency} handlers at once"))
    home = home_for(settings)
    out.print(Text(f"order {settings.order}, home {home.name}: {home.entrance_said}"))
    _print_handlers(out, registry)
    _print_queues(out, topology, home)
    return EXIT_OK


def _print_handlers(out: Console, registry: Registry) -> None:
    handlers: Table = table("event type", "handler", "policy", "timeout", "declared at")
    for one in registry.handlers:
        handlers.add_row(
            cell(one.pattern),
            cell(one.name),
            cell(str(one.policy)),
            cell(readable(one.timeout)),
            cell(one.location),
        )
    out.print(handlers)


def _print_queues(out: Console, topology: Topology, home: Home) -> None:
    queues: Table = table("queue", "gets", "arguments")
    if home.partitions:
        sources = cell(_sources(home.entrance, topology.bindings), 2000)
        queues.add_row(cell(home.entrance), sources, cell("exchange, type=headers"))
    tiers = [queue for queue in topology.queues if _is_tier(queue)]
    for queue in topology.queues:
        if queue in tiers[1:]:
            continue
        queues.add_row(
            cell(queue.name),
            cell(_sources(queue.name, topology.bindings), 2000),
            cell(_arguments(queue), 300),
        )
    out.print(queues)
    if tiers:
        out.print(Text(f"{len(tiers)} delay tiers in all, up to {tiers[-1].name}"))


def _is_tier(queue: Queue) -> bool:
    return any(name == "x-message-ttl" for name, _ in queue.arguments)


def _sources(name: str, bindings: tuple[Binding, ...]) -> str:
    """Say what a queue or exchange is bound to, as in `events: order.created order.paid`."""
    keys: dict[str, list[str]] = {}
    for one in leads_of(bindings):
        if one.to == name:
            keys.setdefault(one.exchange, []).append(one.keys)
    return ", ".join(
        f"{exchange}: {' '.join(found)}".rstrip(": ") for exchange, found in keys.items()
    )


def _arguments(queue: Queue) -> str:
    found = [f"{name.removeprefix('x-')}={value}" for name, value in queue.arguments]
    return " ".join([*found, *(["no delivery limit"] if queue.unlimited else [])])
