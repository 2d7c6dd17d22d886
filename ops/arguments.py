"""The command line of `tidings`: names, options and help texts; nothing here is slow to import.

Each command names the function that runs it, as `module:function`; `tidings.__main__` imports it.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from common.version import VERSION
from ops.options import SAY_WHICH, Parser, add_command, add_filters, add_room
from ops.outbox.options import add_outbox

RATE = 200.0
"""Messages a second that a replay sends unless told otherwise: a steady load, not a flood."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line. The result has `run`, a `module:function` that takes it.

    Ends the process, as argparse does, with 0 after a help text and 2 after a wrong usage.
    """
    options = build_parser().parse_args(argv)
    options.id = [*getattr(options, "ids", ()), *(getattr(options, "id", None) or ())]
    if options.careful and not (
        options.id or options.type or getattr(options, "reason", "") or getattr(options, "all", 0)
    ):
        options.parser.error(options.careful)
    return options


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="tidings",
        description="Events on RabbitMQ: run the services, see and repair what went wrong.",
        epilog="The broker is AMQP_URI=amqp://user:password@host:5672/vhost; every setting is an "
        "environment variable. Exit codes: 0 done, 1 failed, 2 wrong usage, 69 no broker, "
        "78 wrong configuration, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"tidings {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_services(commands)
    _add_emit(commands)
    _add_dead(commands)
    _add_unrouted(commands)
    add_outbox(commands)
    _add_topology(commands)
    health = add_command(
        commands,
        "healthcheck",
        "ask the service on this host whether it is alive",
        "tidings healthcheck --ready",
        "ops.healthcheck:healthcheck",
    )
    health.add_argument("--ready", action="store_true", help="ask whether it is ready, too")
    add_command(commands, "version", "print the version", "tidings version", "ops.start:version")
    return parser


def _add_services(commands: Any) -> None:
    producer = add_command(
        commands,
        "producer",
        "run the producer: the sources of the modules, or a ticker",
        "tidings producer shop.sources",
        "ops.start:producer",
    )
    consumer = add_command(
        commands,
        "consumer",
        "run a consumer with the handlers of the modules",
        "tidings consumer shop.handlers",
        "ops.start:consumer",
    )
    describe = add_command(
        commands,
        "describe",
        "print handlers, policies and queues, without a broker",
        "tidings describe shop.handlers",
        "ops.describe:describe",
    )
    for parser in (producer, consumer, describe):
        parser.add_argument(
            "modules", nargs="*", metavar="MODULE", help="Python module (default: TIDINGS_MODULES)"
        )


def _add_emit(commands: Any) -> None:
    parser = add_command(
        commands,
        "emit",
        "publish one event, and print its id once the broker has confirmed it",
        """tidings emit order.created --data '{"order": 7}'""",
        "ops.emit:emit",
    )
    parser.add_argument("type", metavar="TYPE", help="event type, which is the routing key")
    parser.add_argument(
        "--data", metavar="JSON", required=True, help="the event's data; - reads it from stdin"
    )
    parser.add_argument("--key", help="ordering key")
    parser.add_argument("--subject", help="what, in the source, the event is about")
    parser.add_argument(
        "--id", dest="event_id", help="event id (default: a new one); the same id is the same event"
    )
    parser.add_argument("--source", help="event source (default: TIDINGS_SOURCE)")


def _add_dead(commands: Any) -> None:
    actions = add_room(commands, "dead", "see, replay or drop the dead letters of a group")
    list_ = add_command(
        actions,
        "list",
        "list dead letters, and count them by kind",
        "tidings dead list --reason invalid_payload",
        "ops.letters.dead:list_",
    )
    show = add_command(
        actions,
        "show",
        "print whole records: error, traceback, headers, body",
        "tidings dead show 0198c7a2-6f0e-7c3b-9d1e-0242ac120002",
        "ops.letters.dead:show",
        careful="say which one: ID, --type or --reason",
    )
    replay = add_command(
        actions,
        "replay",
        "send dead letters to the group's queue again",
        "tidings dead replay --type 'order.*' --dry-run",
        "ops.letters.dead:replay",
        careful=SAY_WHICH,
    )
    drop = add_command(
        actions,
        "drop",
        "delete dead letters for ever",
        "tidings dead drop --reason expired",
        "ops.letters.dead:drop",
        careful=SAY_WHICH,
    )
    for parser in (list_, show, replay, drop):
        parser.add_argument("--group", help="consumer group (default: TIDINGS_GROUP)")
        parser.add_argument("--reason", default="", help="only this reason, as in attempts_spent")
        add_filters(parser)
    show.add_argument("ids", nargs="*", metavar="ID", help="event id, the same as --id")
    _add_replay(replay)
    replay.add_argument("--force", action="store_true", help="also those replayed 3 times already")
    drop.add_argument("--all", action="store_true", help="all that lie there now")
    drop.add_argument("--yes", action="store_true", help="do not ask")


def _add_unrouted(commands: Any) -> None:
    actions = add_room(commands, "unrouted", "see or replay events that no group was bound for")
    list_ = add_command(
        actions,
        "list",
        "list unrouted events, and count them by type",
        "tidings unrouted list --json",
        "ops.letters.unrouted:list_",
    )
    replay = add_command(
        actions,
        "replay",
        "send unrouted events again, on the way they came",
        "tidings unrouted replay --type order.created",
        "ops.letters.unrouted:replay",
        careful="say which ones: --id or --type; or --all",
    )
    for parser in (list_, replay):
        add_filters(parser)
    _add_replay(replay)


def _add_topology(commands: Any) -> None:
    actions = add_room(
        commands, "topology", "see, verify and make exchanges, queues and bindings", "plan"
    )
    plan = add_command(
        actions,
        "plan",
        "print what is needed, what differs, and which rights the services need",
        "tidings topology plan shop.handlers",
        "ops.topology:plan",
    )
    check = add_command(
        actions,
        "check",
        "verify that everything is there and as it must be (exit 78 where not)",
        "tidings topology check shop.handlers",
        "ops.topology:check",
    )
    apply = add_command(
        actions,
        "apply",
        "create what is missing; with --prune also unbind what no handler asks for",
        "tidings topology apply shop.handlers",
        "ops.topology:apply",
    )
    migrate = add_command(
        actions,
        "migrate",
        "move the group to the home of its new TIDINGS_ORDER, while its old consumers run",
        "tidings topology migrate shop.handlers",
        "ops.migrate:migrate",
    )
    for parser in (plan, check, apply, migrate):
        parser.add_argument("--group", help="consumer group (default: TIDINGS_GROUP)")
        parser.add_argument(
            "modules", nargs="*", metavar="MODULE", help="Python module (default: TIDINGS_MODULES)"
        )
    for parser in (plan, check, apply):
        parser.add_argument(
            "--delays",
            metavar="LONGEST",
            help="with the tiers for events published with a delay of up to LONGEST, as in 10m",
        )
    apply.add_argument(
        "--prune", action="store_true", help="remove stale bindings (needs TIDINGS_MANAGEMENT_URI)"
    )


def _add_replay(parser: Parser) -> None:
    parser.add_argument("--all", action="store_true", help="everything that lies there now")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--rate",
        type=_rate,
        default=RATE,
        metavar="N/s",
        help=f"messages a second (default {RATE:g}/s; 0: no limit)",
    )


def _rate(text: str) -> float:
    number = float(text.removesuffix("/s"))
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a rate; write 200/s, or 0 for no limit")
    return number
