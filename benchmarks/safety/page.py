"""The table, and docs/safety.md around it. PURE but for the writing."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from benchmarks.contestants import OURS, ROOT
from benchmarks.safety.contestants import Entry
from benchmarks.safety.experiments import (
    LIMIT_SECONDS,
    LIMIT_SECONDS_OF_CRASH,
    QUIET_SECONDS,
    QUIET_SECONDS_OF_OURS,
    STARTS,
)
from benchmarks.safety.judge import Cell
from benchmarks.safety.settings import WHAT

Cells = Mapping[tuple[str, str], Cell]
"""By contestant and experiment."""
PAGE: Final = ROOT / "docs" / "safety.md"

_INTRODUCTION: Final = """\
# What becomes of events that go wrong

Written by `make safety SAFETY_WRITE=1`; do not edit. Tidings and its peers in Python, each with its
defaults, on the same broker.
"""

_METHOD: Final = """\
## What the words mean

- **kept, with reason**: it lies in a queue for such events, and says there why: an error, or that
  it was delivered too often. What the broker notes by itself, `rejected`, is no reason.
- **kept**: it lies in a queue, but does not say why. **(retrying)**: it waits in a queue from which
  it is tried again by itself, when the experiment's time is over. **(handled again)**: the next
  process has handled it.
- **looping**: it lies in the queue it came from, is taken up again and again, and nothing counts.
- **lost**: it was not handled, and lies in no queue of the virtual host.
- **neighbours**: six ordinary events, three before and three after the bad one. *lost* as above;
  *set aside too*: not handled, and in another queue; *still waiting*: not handled, and in theirs.

## How it is done

Each cell has a virtual host of its own. The contestant's own consumer makes its queues and handles
one ordinary event. Then, with no consumer, its own publisher sends one event, and the queue is
filled with copies of it that differ in the id, and the bad one in what the experiment is about.
Its consumer is started; where it ends, it is started again at once. Handlers append to a file when
they begin and when they have ended. {quiet:.0f} s after the last such line (Tidings and a process
that is killed: {ours:.0f} s, as it waits between trials), after {limit:.0f} s ({crash:.0f} s where
the process is killed), or after {starts} starts of the bad event's handler, which is more than the
20 deliveries that RabbitMQ 4 allows a quorum queue by itself, it is stopped, and all messages are
taken out of all queues through the management API.

- **handler raises**: always, at once.
- **body is not JSON**: all else as its publisher sends it.
- **unknown type**: the event lies in the queue, as after a deploy that has lost a handler; with
  Nameko, where the routing key is the type, it is published with a key that no queue is bound for.
- **kill -9 in the handler**: of the process and all it has started, 0.1 s after the bad event's
  handler has begun; neighbours run at the time. Then it is started again.
- **event kills the process**: `os.abort()` 0.1 s after the handler has begun, each time; a
  neighbour's handler takes 0.2 s, so that all that run beside it are interrupted. (Neighbours
  that are quicker than it takes the process to die are handled in between.)
"""


def table(entries: Sequence[Entry], cells: Cells, what: Sequence[str]) -> list[str]:
    """Return the lines of a Markdown table: contestants are rows."""
    rows = [["", *(WHAT[one] for one in what)]]
    rows += [[one.name, *(cells[one.name, w].text for w in what)] for one in entries]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]


def goal(cells: Cells) -> tuple[str, bool]:
    """Return the line about our own cells, and whether the goal is reached."""
    ours = {what: cell for (name, what), cell in cells.items() if name == OURS}
    if not ours:
        return "goal: ours all kept, with reason: not measured", True
    worse = [f"{WHAT[what]}: {cell.text}" for what, cell in ours.items() if not cell.is_good(what)]
    verdict = f"missed ({'; '.join(worse)})" if worse else "reached"
    return f"goal: ours all kept, with reason: {verdict}", not worse


def evidence(entries: Sequence[Entry], cells: Cells, what: Sequence[str]) -> list[str]:
    """Return, for each contestant, how each of its cells was found out."""
    lines: list[str] = []
    for one in entries:
        lines += [f"### {one.name}", "", one.defaults, ""]
        for w in what:
            cell = cells[one.name, w]
            lines.append(f"- **{WHAT[w]}**: {cell.text}. {cell.how[:1].upper()}{cell.how[1:]}.")
        lines.append("")
    return lines


def write(
    *,
    entries: Sequence[Entry],
    cells: Cells,
    what: Sequence[str],
    where: Sequence[str],
    day: date,
    path: Path = PAGE,
) -> None:
    """Write the page."""
    lines = [
        _INTRODUCTION,
        *(f"- {day.isoformat()}", *where, ""),
        *table(entries, cells, what),
        "",
        *(f"{one.name}: {one.note}" for one in entries if one.note),
        "",
        f"{goal(cells)[0].capitalize()}.",
        "",
        _METHOD.format(
            quiet=QUIET_SECONDS,
            ours=QUIET_SECONDS_OF_OURS,
            limit=LIMIT_SECONDS,
            crash=LIMIT_SECONDS_OF_CRASH,
            starts=STARTS,
        ),
        "## How each cell was found out, and with which defaults",
        "",
        *evidence(entries, cells, what),
    ]
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
