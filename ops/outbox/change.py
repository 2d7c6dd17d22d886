"""`tidings outbox retry|drop`: let set-aside events be sent again, or delete them."""

import asyncio
from argparse import Namespace

from common.errors import EXIT_FAILED, EXIT_OK
from ops.command import Stop, say
from ops.letters.question import confirmed
from ops.outbox.listing import counted, print_json, print_kinds
from ops.outbox.place import opened
from ops.outbox.wanted import Kinds, Wanted
from producer.outbox.sqlite import LOOK_SECONDS

NOTHING_FOUND = "no set-aside event matches"


def retry(options: Namespace) -> int:
    """Ask the producer to take events back; it does so in its own time."""
    count = 0
    with opened(options, change=True) as visit:
        for page in _wanted(options).among(visit.refused()):
            asked = visit.try_again(page)
            count += len(asked)
            if options.json:
                print_json(one._replace(again=True) for one in asked)
    if not count:
        say(NOTHING_FOUND)
        return EXIT_OK
    say(
        f"{counted(count)} will be sent again: by a running producer within {LOOK_SECONDS:g} s, "
        "by one that does not run when it starts"
    )
    return EXIT_OK


def drop(options: Namespace) -> int:
    """Delete events, after saying how many of what and, unless --yes, asking."""
    wanted, kinds, count = _wanted(options), Kinds(), 0
    with opened(options, change=True) as visit:
        for page in wanted.among(visit.refused()):
            kinds.add(page)
        if not kinds.total:
            say(NOTHING_FOUND)
            return EXIT_OK
        many = counted(kinds.total)
        if not options.json:
            print_kinds(kinds, waiting=False)
        if not (options.yes or asyncio.run(confirmed(f"Drop {many} for ever? [y/N] ", Stop()))):
            say("nothing dropped")
            return EXIT_FAILED
        # Only what was counted: not what came while the question was open.
        for page in wanted.among(visit.refused(up_to=kinds.last_number)):
            gone = visit.drop(
                [one for one in page if (one.refused_at or 0.0) <= kinds.last_refused_at]
            )
            count += len(gone)
            if options.json:
                print_json(gone)
    say(f"dropped {counted(count)}")
    return EXIT_OK


def _wanted(options: Namespace) -> Wanted:
    return Wanted(frozenset(options.id), options.type, options.reason, options.limit)
