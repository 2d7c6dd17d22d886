"""`tidings outbox stats`: what a whole outbox holds, what it takes, how far its sources are."""

import json
import shutil
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.text import Text

from common.duration import readable
from common.errors import EXIT_OK
from ops.letters.listing import KINDS_SHOWN, cell, console, table
from ops.letters.text import harmless, moment
from ops.outbox.listing import time_of
from ops.outbox.place import opened, path_of
from producer.outbox.marks import Mark
from producer.outbox.visiting import Figures

TICKS = range(10**15, 10**17)
"""Microseconds since the epoch, from 2001 to 5138: such a number as a mark is a tick's time."""


def stats(options: Namespace) -> int:
    """Print the figures."""
    with opened(options) as visit:
        found = visit.figures()
    path = path_of(options)
    if options.json:
        print(json.dumps(_as_dict(found, path)))
    else:
        _print(found, path)
    return EXIT_OK


def _as_dict(found: Figures, path: Path) -> dict[str, Any]:
    """Return the object that `--json` prints; its keys are a promise to scripts."""
    return {
        "file": str(path),
        "waiting": found.waiting,
        "oldest": time_of(found.oldest),
        "oldest_seconds": _age(found.oldest),
        "bytes": found.size_bytes,
        "free_disk_bytes": _free(path),
        "set_aside": found.refused,
        "to_be_tried_again": found.again,
        "reasons": dict(found.reasons),
        "marks": {
            mark.name: {"value": _value(mark), "time": _tick_time(mark)} for mark in found.marks
        },
    }


def _print(found: Figures, path: Path) -> None:
    age, free = _age(found.oldest), _free(path)
    oldest = "" if age is None else f", the oldest since {readable(age)} ({time_of(found.oldest)})"
    again = f", {found.again} of them to be tried again" if found.again else ""
    out = console()
    for name, value in (
        ("file", str(path)),
        ("waiting", f"{found.waiting}{oldest}"),
        ("set aside", f"{found.refused}{again}"),
        ("bytes in use", _size(found.size_bytes)),
        ("free disk", "not known" if free is None else _size(free)),
    ):
        out.print(Text(f"{name:<14}{harmless(value)}"))
    if found.reasons:
        reasons = table("count", "set aside because")
        for reason, count in found.reasons[:KINDS_SHOWN]:
            reasons.add_row(cell(str(count)), cell(reason, 300))
        out.print(reasons)
        if more := found.refused - sum(count for _, count in found.reasons[:KINDS_SHOWN]):
            out.print(Text(f"… and {more} for other reasons; --json has them"))
    if found.marks:
        marks = table("source", "is as far as")
        for mark in found.marks:
            marks.add_row(cell(mark.name), cell(_tick_time(mark) or mark.value, 300))
        out.print(marks)


def _age(since: float | None) -> int | None:
    """Return whole seconds; never negative, whatever happened to the clock."""
    return None if since is None else max(0, round(time.time() - since))


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.absolute().parent).free
    except OSError:
        return None


def _value(mark: Mark) -> Any:
    try:
        return json.loads(mark.value)
    except (ValueError, RecursionError):
        return mark.value


def _tick_time(mark: Mark) -> str | None:
    digits = mark.value
    if digits.isdecimal() and len(digits) < 20 and int(digits) in TICKS:  # noqa: PLR2004 - no number to fear
        return moment(int(digits) // 1000)
    return None


def _size(count: int) -> str:
    """Write bytes as people do: `12.3 MiB`."""
    size, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:  # noqa: PLR2004 - bytes in a KiB
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
