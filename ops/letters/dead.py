"""`tidings dead list|show|replay|drop`: from the command line's options to the acts."""

from argparse import Namespace

from ops.command import run
from ops.letters import look, take
from ops.letters.desk import Desk
from ops.letters.letter import Wanted
from ops.letters.replay import Order


def list_(options: Namespace) -> int:
    """List the dead letters of a group."""
    desk, wanted = _desk(options), _wanted(options)
    return run(
        lambda stop: look.list_(desk, wanted, options.limit, as_json=options.json, stop=stop)
    )


def show(options: Namespace) -> int:
    """Print whole records."""
    desk, wanted = _desk(options), _wanted(options)
    return run(lambda stop: look.show(desk, wanted, options.limit, as_json=options.json, stop=stop))


def replay(options: Namespace) -> int:
    """Send dead letters to the group's queue again."""
    desk = _desk(options)
    order = Order(_wanted(options), options.limit, force=options.force, rate=options.rate)
    return run(
        lambda stop: take.replay(
            desk, order, dry_run=options.dry_run, as_json=options.json, stop=stop
        )
    )


def drop(options: Namespace) -> int:
    """Delete dead letters."""
    desk, wanted = _desk(options), _wanted(options)
    return run(
        lambda stop: take.drop(
            desk, wanted, options.limit, sure=options.yes, as_json=options.json, stop=stop
        )
    )


def _desk(options: Namespace) -> Desk:
    return Desk.dead(options.group)


def _wanted(options: Namespace) -> Wanted:
    return Wanted(frozenset(options.id), options.type, options.reason)
