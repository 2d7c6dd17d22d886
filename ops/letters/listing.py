"""Shows letters: a line of JSON each for programs; a table and why they are there for people."""

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.letters.letter import Kinds, Letter
from ops.letters.text import harmless, moment

WIDTH_ELSEWHERE = 160
"""Columns where no terminal says how wide it is, such as in a pipe."""
KINDS_SHOWN = 15
NOTHING = "-"


def json_line(letter: Letter) -> str:
    """Write a letter as one line of JSON; plain ASCII, so that no terminal is drawn on."""
    return json.dumps(letter.as_dict())


def print_table(letters: Sequence[Letter], *, more: int) -> None:
    """Print a row each; `more` are not shown."""
    rows = table("last failed (UTC)", "type", "reason", "error", "tries", "id")
    for letter in letters:
        error = ": ".join(filter(None, (letter.error, letter.message)))
        rows.add_row(
            cell(_second(letter.last_failed_ms)),
            cell(letter.type),
            cell(letter.reason),
            cell(error, 300),
            cell(str(letter.attempts)),
            Text(harmless(letter.id) or NOTHING, overflow="fold"),
        )
    out = console()
    out.print(rows)
    if more:
        out.print(Text(f"… and {more} more; --limit and --json show them"))


def print_kinds(kinds: Kinds, heading: str) -> None:
    """Print how many there are of each kind, the most frequent first: one screen, however many."""
    found = kinds.most()
    rows = table("count", "reason", "type", "error", "last failed (UTC)", "the last one's message")
    for kind in found[:KINDS_SHOWN]:
        rows.add_row(
            cell(str(kind.count)),
            cell(kind.reason),
            cell(kind.type),
            cell(kind.error),
            cell(_second(kind.last_failed_ms)),
            cell(kind.example.message, 300),
        )
    out = console()
    out.print(Text(heading))
    out.print(rows)
    if len(found) > KINDS_SHOWN:
        rest = sum(kind.count for kind in found[KINDS_SHOWN:])
        out.print(Text(f"… and {rest} of {len(found) - KINDS_SHOWN} more kinds"))


def table(*columns: str) -> Table:
    """Make a plain table with these columns."""
    made = Table(box=box.SIMPLE, pad_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in ("count", "tries") else "left")
    return made


def cell(text: str | None, limit: int = 120) -> Text:
    """Make a cell of what a sender wrote: never markup, never a control character."""
    clean = harmless(text or NOTHING)
    return Text(clean if len(clean) <= limit else f"{clean[: limit - 1]}…")


def _second(milliseconds: int) -> str:
    """Write a time to the second: `2026-01-31 23:59:59`, in UTC as everywhere here."""
    return (moment(milliseconds) or "")[:19].replace("T", " ")


def console() -> Console:
    """Open standard output for tables, wide where it is not a terminal."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = WIDTH_ELSEWHERE
    return out
