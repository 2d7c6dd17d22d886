"""`list` and `show`: look at what was set aside, and leave it as it was."""

import json

from common.errors import EXIT_FAILED, EXIT_OK
from ops.command import Stop
from ops.letters.desk import LOOKING_WINDOW, Desk, matching
from ops.letters.letter import Kinds, Letter, Wanted
from ops.letters.listing import json_line, print_kinds, print_table
from ops.letters.record import record_as_dict, record_as_text
from ops.letters.replay import WINDOW

ROWS = 20
"""Rows of a table without --limit: the summary below them must stay on the screen."""


async def list_(desk: Desk, wanted: Wanted, limit: int | None, *, as_json: bool, stop: Stop) -> int:
    """Print the letters that match, and without JSON also how many there are of each kind.

    Printed only when everything was handed back: a pager may keep us waiting for an hour.
    """
    letters: list[Letter] = []
    async with desk.scan(LOOKING_WINDOW, stop) as found:
        async for letter, delivery in matching(desk, found, wanted, limit):
            found.hold(delivery)
            letters.append(letter)
    if stop.is_set():
        return EXIT_FAILED
    if as_json:
        for letter in letters:
            print(json_line(letter))
        return EXIT_OK
    if not letters:
        desk.say_nothing_found(found)
        return EXIT_OK
    rows = letters if limit is not None else letters[:ROWS]
    print_table(rows, more=len(letters) - len(rows))
    print_kinds(Kinds.of(letters), desk.shelf.counted(len(letters)))
    return EXIT_OK


async def show(desk: Desk, wanted: Wanted, limit: int | None, *, as_json: bool, stop: Stop) -> int:
    """Print the whole record of each dead letter that matches."""
    records: list[str] = []
    async with desk.scan(WINDOW, stop) as found:
        async for letter, delivery in matching(desk, found, wanted, limit):
            found.hold(delivery)
            records.append(
                json.dumps(record_as_dict(letter, delivery), default=str)
                if as_json
                else record_as_text(letter, delivery)
            )
    if not records:
        desk.say_nothing_found(found)
        return EXIT_FAILED
    print(("\n" if as_json else f"\n\n{'─' * 72}\n\n").join(records))
    return EXIT_OK
