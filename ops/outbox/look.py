"""`tidings outbox list|show`: look at what an outbox holds, and leave it as it is."""

import json
from argparse import Namespace
from collections.abc import Iterator

from common.errors import EXIT_FAILED, EXIT_OK
from ops.command import say
from ops.letters.text import harmless
from ops.outbox.listing import counted, print_json, print_kinds, print_table
from ops.outbox.place import opened
from ops.outbox.record import record_as_dict, record_as_text
from ops.outbox.wanted import Kinds, Wanted
from producer.outbox.visiting import Held, Visit

ROWS = 20
"""Rows of a table without --limit: the summary below them must stay on the screen."""


def list_(options: Namespace) -> int:
    """Print the events that match, newest last, and without JSON how many there are of each kind.

    Printed as they are read, a table per page: there may be a million.
    """
    if options.waiting and options.reason:
        options.parser.error("those that wait have no --reason")
    wanted = Wanted(frozenset(options.id), options.type, options.reason, options.limit)
    kinds = Kinds()
    with opened(options) as visit:
        for page in wanted.among(visit.waiting() if options.waiting else visit.refused()):
            if options.json:
                print_json(page)
                continue
            shown = page if options.limit else page[: max(0, ROWS - kinds.total)]
            if shown:
                print_table(shown, waiting=options.waiting)
            kinds.add(page)
    if options.json:
        return EXIT_OK
    if not kinds.total:
        say(f"no {counted(2, waiting=options.waiting).removeprefix('2 ')} found")
        return EXIT_OK
    if not options.limit and kinds.total > ROWS:
        print(f"… and {kinds.total - ROWS} more; --limit and --json show them")
    print_kinds(kinds, waiting=options.waiting)
    return EXIT_OK


def show(options: Namespace) -> int:
    """Print the whole record of each event with one of the ids, set aside or waiting."""
    wanted = Wanted(frozenset(options.id))
    records: list[str] = []
    missing = dict.fromkeys(options.id)
    with opened(options) as visit, visit.one_moment():
        for held in _both(visit, wanted):
            publishing = visit.whole(held)
            if publishing is None:
                continue
            missing.pop(held.id, None)
            records.append(
                json.dumps(record_as_dict(held, publishing))
                if options.json
                else record_as_text(held, publishing)
            )
    if records:
        print(("\n" if options.json else f"\n\n{'─' * 72}\n\n").join(records))
    if missing:
        say(f"neither set aside nor waiting: {harmless(', '.join(missing))}")
    return EXIT_OK if records else EXIT_FAILED


def _both(visit: Visit, wanted: Wanted) -> Iterator[Held]:
    for pages in (visit.refused(), visit.waiting()):
        for page in wanted.among(pages):
            yield from page
