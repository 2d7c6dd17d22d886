"""`tidings topology plan|check|apply`: what is needed, what differs, and making it so.

With TIDINGS_MANAGEMENT_URI the comparison is complete: arguments and bindings. Without, AMQP tells
only whether exchanges and queues exist, and the first difference when one is declared.
"""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass

from common.broker import Connection, connect
from common.duration import seconds
from common.errors import EXIT_CONFIG, EXIT_OK, ConfigError, TopologyMismatch
from common.homes import Home
from common.service import say_error
from common.settings import load
from common.topology import Topology, delay_topology, tiers_up_to
from consumer.plan import home_for, registry_for, topology_for
from consumer.registry import Handler
from consumer.residence import residence
from consumer.settings import ConsumerSettings
from consumer.timeouts import refuse_too_long, too_long
from ops.command import Stop, run, say
from ops.differences import Difference, Found, differences
from ops.leads import leads_of
from ops.management import Management
from ops.rights import least_rights
from ops.settings import OpsSettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a group's consumer and the producer need, and where."""

    topology: Topology
    settings: ConsumerSettings
    handlers: tuple[Handler, ...]
    management: Management | None

    @property
    def group(self) -> str:
        """The group's name."""
        return self.settings.group

    @property
    def home(self) -> Home:
        """Where its events wait."""
        return home_for(self.settings)

    @property
    def uri(self) -> str:
        """The broker's address, with its password."""
        return self.settings.uri

    @property
    def vhost(self) -> str:
        """The virtual host, as people write it."""
        return self.uri.split("?", maxsplit=1)[0].partition("://")[2].partition("/")[2] or "/"

    def differences(self) -> list[Difference]:
        """Compare with the broker; needs the management API."""
        if self.management is None:
            return []
        found = self.management.found()
        return [*differences(self.topology, found, self.home), *self._too_long(found)]

    def _too_long(self, found: Found) -> Iterator[Difference]:
        """Compare the handlers' timeouts with those that the broker has for the home's queues."""
        for queue in self.home.queue_names:
            limit = found.consumer_timeouts.get(queue)
            if limit is None:
                continue
            problem = too_long(
                self.handlers, consumer_timeout=limit, drain_timeout=self.settings.drain_timeout
            )
            if problem is not None:
                yield Difference(f"queue '{queue}'", problem)


def plan(options: Namespace) -> int:
    """Print what is needed, what differs where that can be seen, and the rights for it."""
    wanted = _wanted(options)
    print(f"# needed by group '{wanted.group}' and the producer")
    print(f"# order {wanted.settings.order}, home {wanted.home.name}: {wanted.home.entrance_said}")
    for exchange in wanted.topology.exchanges:
        print(f"exchange  {exchange.name}  {exchange.type}  {_said(dict(exchange.arguments))}")
    for queue in wanted.topology.queues:
        print(f"queue     {queue.name}  {_said(queue.arguments_for((4, 3)))}")
    for lead in leads_of(wanted.topology.bindings):
        print(f"binding   {lead.exchange} -> {lead.to}  {lead.keys}".rstrip())
    print("\n# least rights, with TIDINGS_TOPOLOGY=check; TOPOLOGY is who runs `topology apply`")
    for rights in least_rights(wanted.group):
        print(rights.command(wanted.vhost))
    if wanted.management is None:
        print("\n# set TIDINGS_MANAGEMENT_URI to see what the broker has instead")
        return EXIT_OK
    found = wanted.differences()
    print(f"\n# differences: {len(found) or 'none'}")
    for one in found:
        print(one)
    return EXIT_OK


def check(options: Namespace) -> int:
    """Verify; exit 78 with a line per difference. Stale bindings only warn."""
    wanted = _wanted(options)

    async def work(_: Stop) -> int:
        async with connect(wanted.uri, name="tidings topology check") as connection:
            await connection.ensure(wanted.topology, "check")
        say("everything that is needed exists; TIDINGS_MANAGEMENT_URI would show arguments, too")
        return EXIT_OK

    if wanted.management is None:
        return run(work)
    found = wanted.differences()
    for one in found:
        if one.warning:
            say(f"tidings: warning: {one}")
    wrong = [str(one) for one in found if not one.warning]
    if not wrong:
        say("the topology is as it must be")
        return EXIT_OK
    say_error(TopologyMismatch("\n".join(wrong)))
    return EXIT_CONFIG


def apply(options: Namespace) -> int:
    """Create what is missing; with `--prune` remove stale bindings afterwards."""
    wanted = _wanted(options)
    if options.prune and wanted.management is None:
        raise ConfigError(
            "--prune: AMQP does not show bindings; set TIDINGS_MANAGEMENT_URI=http://user:…@host:15672"
        )

    async def work(_: Stop) -> int:
        async with connect(wanted.uri, name="tidings topology apply") as connection:
            await _refuse_a_second_home(connection, wanted.home)
            await connection.ensure(wanted.topology, "declare")
        say("everything that is needed exists")
        return EXIT_OK

    code = run(work)
    if code == EXIT_OK and options.prune and wanted.management is not None:
        for one in wanted.differences():
            if one.stale is not None:
                wanted.management.unbind(one.stale)
                say(f"unbound: {one.what}")
    return code


async def _refuse_a_second_home(connection: Connection, home: Home) -> None:
    """Raise TopologyMismatch where the group lives elsewhere, or moves there."""
    away = await residence(connection, home)
    if away is not None:
        raise TopologyMismatch(
            f"group '{home.group}' is moving from the order '{home.name}' to '{away.name}': run "
            f"`tidings topology migrate` with {away.asked_by} to its end"
        )


def _wanted(options: Namespace) -> Wanted:
    given = {"modules": tuple(options.modules) or None, "group": options.group}
    settings = load(ConsumerSettings, **given)
    management = load(OpsSettings, group=options.group).management_uri
    registry = registry_for(settings)
    refuse_too_long(registry.handlers, settings)
    topology = topology_for(settings, registry)
    for tier in _tiers(options.delays):
        topology += delay_topology(tier)
    return Wanted(
        topology=topology,
        settings=settings,
        handlers=registry.handlers,
        management=None
        if management is None
        else Management(management.get_secret_value(), settings.uri),
    )


def _tiers(longest: str | None) -> tuple[int, ...]:
    """Return the delay tiers of events published with a delay of up to `longest`."""
    if longest is None:
        return ()
    try:
        return tiers_up_to(seconds(longest))
    except ValueError as error:
        raise ConfigError(f"--delays: {error}") from None


def _said(arguments: dict[str, str | int]) -> str:
    return " ".join(f"{name}={value}" for name, value in arguments.items())
