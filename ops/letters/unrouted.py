"""`tidings unrouted list|replay`: from the command line's options to the acts."""

from argparse import Namespace

from ops.command import run
from ops.letters import look, take
from ops.letters.desk import Desk
from ops.letters.letter import Wanted
from ops.letters.replay import Order


def list_(options: Namespace) -> int:
    """List the events that nobody was bound for."""
    desk, wanted = Desk.unrouted(), _wanted(options)
    return run(
        lambda stop: look.list_(desk, wanted, options.limit, as_json=options.json, stop=stop)
    )


def replay(options: Namespace) -> int:
    """Send unrouted events again on the way on which they found no queue."""
    # No limit to how often: an event that nobody wants is not broken, only early.
    desk = Desk.unrouted()
    order = Order(_wanted(options), options.limit, force=True, rate=options.rate)
    return run(
        lambda stop: take.replay(
            desk, order, dry_run=options.dry_run, as_json=options.json, stop=stop
        )
    )


def _wanted(options: Namespace) -> Wanted:
    return Wanted(frozenset(options.id), options.type)
