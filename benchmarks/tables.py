"""Results as tables: contestants are rows, and each value says how it compares with ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.contestants import OURS, Contestant
from benchmarks.measures import WINDOW
from benchmarks.rounds import Results


@dataclass(frozen=True, slots=True)
class Column:
    """A value of a measure."""

    title: str
    measure: str
    value: str
    digits: int = 0
    compared: bool = True
    says_why: bool = False
    """The first of its measure: it says why there is no value."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns under a heading."""

    title: str
    columns: tuple[Column, ...]


TABLES: Final = (
    Table(
        "Consume",
        (
            Column("CPU µs, handler does nothing", "consume", "cpu_us", says_why=True),
            Column("events/s", "consume", "per_second"),
            Column("CPU µs, handler awaits once", "awaits", "cpu_us", says_why=True),
            Column("events/s", "awaits", "per_second"),
        ),
    ),
    Table(
        "Publish, confirmed",
        (
            Column(f"CPU µs, {WINDOW} in flight", "publish", "cpu_us", says_why=True),
            Column("events/s", "publish", "per_second"),
            Column("CPU µs, one by one", "single", "cpu_us", says_why=True),
            Column("events/s", "single", "per_second"),
        ),
    ),
    Table(
        "Latency, retry, memory, start",
        (
            Column("latency p50, ms", "latency", "p50_ms", 2, says_why=True),
            Column("p99, ms", "latency", "p99_ms", 2),
            Column("retry, CPU µs", "retry", "cpu_us", says_why=True),
            Column("peak memory, MiB", "memory", "peak_mib", 1, says_why=True),
            Column("grown, MiB", "memory", "grown_mib", 1, compared=False),
            Column("to the first event, s", "first", "seconds", 2, says_why=True),
        ),
    ),
)


def render(table: Table, contestants: Sequence[Contestant], results: Results) -> list[str]:
    """Return the lines of a Markdown table, or none when nothing of it was measured."""
    measured = {measure for measure, _ in (*results.taken, *results.failed)}
    columns = [one for one in table.columns if one.measure in measured]
    if not columns:
        return []
    rows = [["", *(column.title for column in columns)]]
    rows += [
        [one.name, *(_cell(column, one, results) for column in columns)] for one in contestants
    ]
    return [f"### {table.title}", "", *aligned(rows), ""]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; the first row is its head."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [
        "| "
        + " | ".join(
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = "|" + "|".join(
        "-" * (width + 2) if index == 0 else "-" * (width + 1) + ":"
        for index, width in enumerate(widths)
    )
    return [lines[0], f"{rule}|", *lines[1:]]


def _cell(column: Column, one: Contestant, results: Results) -> str:
    found = results.of(column.measure, one.name)
    if found is None:
        return "—"
    if isinstance(found, str):
        return found.replace("|", "/") if column.says_why else "failed"
    value = found[column.value]
    text = f"{value:,.{column.digits}f}"
    ours = results.of(column.measure, OURS)
    if one.name == OURS or not column.compared or not isinstance(ours, dict):
        return text
    return f"{text} ({_factor(value / ours[column.value])})"


def _factor(ratio: float) -> str:
    return (
        f"{ratio:.0f}x" if ratio >= 9.95 else f"{ratio:.1f}x" if ratio >= 0.095 else f"{ratio:.2f}x"
    )
