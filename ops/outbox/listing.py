"""Shows events of an outbox: a line of JSON each for programs, tables for people."""

import json
from collections.abc import Iterable

from rich.text import Text

from ops.letters.listing import KINDS_SHOWN, NOTHING, cell, console, table
from ops.letters.text import harmless, moment
from ops.outbox.wanted import Kinds
from producer.outbox.visiting import Held


def as_dict(held: Held) -> dict[str, str | int | None]:
    """Return the object that `--json` prints; its keys are a promise to scripts."""
    found: dict[str, str | int | None] = {
        "number": held.number,
        "id": held.id,
        "type": held.type,
        "accepted": time_of(held.accepted_at),
        "bytes": held.bytes,
    }
    if held.refused_at is not None:
        found |= {
            "refused": time_of(held.refused_at),
            "reason": held.reason,
            "again": held.again,
        }
    return found


def print_json(page: Iterable[Held]) -> None:
    """Print a line each; plain ASCII, so that no terminal is drawn on."""
    for held in page:
        print(json.dumps(as_dict(held)))


def print_table(page: Iterable[Held], *, waiting: bool) -> None:
    """Print a row each."""
    if waiting:
        rows = table("accepted (UTC)", "type", "bytes", "id")
    else:
        rows = table("set aside (UTC)", "type", "reason", "retry", "bytes", "id")
    for held in page:
        about = () if waiting else (cell(held.reason, 300), cell("asked" if held.again else None))
        rows.add_row(
            cell(second(held.accepted_at if waiting else held.refused_at)),
            cell(held.type),
            *about,
            cell(str(held.bytes)),
            Text(harmless(held.id) or NOTHING, overflow="fold"),
        )
    console().print(rows)


def print_kinds(kinds: Kinds, *, waiting: bool) -> None:
    """Print how many there are of each kind, the most frequent first: one screen, however many."""
    found = kinds.most()
    if waiting:
        rows = table("count", "type", "last accepted (UTC)")
    else:
        rows = table("count", "reason", "type", "last set aside (UTC)")
    for (reason, type_), count in found[:KINDS_SHOWN]:
        about = (cell(type_),) if waiting else (cell(reason, 300), cell(type_))
        rows.add_row(cell(str(count)), *about, cell(second(kinds.latest[reason, type_])))
    out = console()
    out.print(Text(counted(kinds.total, waiting=waiting)))
    out.print(rows)
    if len(found) > KINDS_SHOWN:
        rest = sum(count for _, count in found[KINDS_SHOWN:])
        out.print(Text(f"… and {rest} of {len(found) - KINDS_SHOWN} more kinds"))


def counted(count: int, *, waiting: bool = False) -> str:
    """Say how many, as in `1 set-aside event`."""
    plural = "event" if count == 1 else "events"
    return f"{count} waiting {plural}" if waiting else f"{count} set-aside {plural}"


def time_of(at: float | None) -> str | None:
    """Write seconds since the epoch as RFC 3339 in UTC."""
    return None if at is None else moment(round(at * 1000))


def second(at: float | None) -> str:
    """Write a time to the second, for a column: `2026-01-31 23:59:59`."""
    return (time_of(at) or "")[:19].replace("T", " ")
