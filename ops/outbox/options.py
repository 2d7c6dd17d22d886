"""The command line of `tidings outbox`; nothing here is slow to import."""

from typing import Any

from ops.options import SAY_WHICH, add_command, add_filters, add_room


def add_outbox(commands: Any) -> None:
    """Add the command and its actions."""
    actions = add_room(
        commands, "outbox", "see, retry or drop what a producer's outbox on disk has set aside"
    )
    list_ = add_command(
        actions,
        "list",
        "list events that the broker will never take as they are, and count them by reason",
        "tidings outbox list --type 'order.*'",
        "ops.outbox.look:list_",
    )
    show = add_command(
        actions,
        "show",
        "print whole records, of events that are set aside or wait: reason, headers, body",
        "tidings outbox show 0198c7a2-6f0e-7c3b-9d1e-0242ac120002",
        "ops.outbox.look:show",
    )
    retry = add_command(
        actions,
        "retry",
        "let the producer send set-aside events again: one that runs within seconds, "
        "else when it starts",
        "tidings outbox retry --reason '* bytes; the broker takes *'",
        "ops.outbox.change:retry",
        careful=SAY_WHICH,
    )
    drop = add_command(
        actions,
        "drop",
        "delete set-aside events for ever; those that wait for the broker cannot be dropped: "
        "they were promised to be sent",
        "tidings outbox drop --id 0198c7a2-6f0e-7c3b-9d1e-0242ac120002",
        "ops.outbox.change:drop",
        careful=SAY_WHICH,
    )
    stats = add_command(
        actions,
        "stats",
        "count what waits and what is set aside; sizes, and how far each source has come",
        "tidings outbox stats --file /data/outbox.db",
        "ops.outbox.stats:stats",
    )
    for parser in (list_, show, retry, drop, stats):
        parser.add_argument(
            "--file",
            metavar="PATH",
            help="the outbox's file (default: as TIDINGS_OUTBOX or TIDINGS_DATA says); its "
            "producer may be running",
        )
    for parser in (list_, retry, drop):
        parser.add_argument("--reason", default="", help="only this reason; * stands for any text")
        add_filters(parser)
    list_.add_argument(
        "--waiting", action="store_true", help="instead, those that wait for the broker"
    )
    show.add_argument("ids", nargs="+", metavar="ID", help="event id")
    for parser in (retry, drop):
        parser.add_argument("ids", nargs="*", metavar="ID", help="event id, the same as --id")
        parser.add_argument("--all", action="store_true", help="all that are set aside now")
    drop.add_argument("--yes", action="store_true", help="do not ask")
    for parser in (show, stats):
        parser.add_argument("--json", action="store_true", help="one JSON object per line")
