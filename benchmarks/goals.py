"""What Tidings is to reach, and whether it did in this run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import order
from benchmarks.contestants import ALL, OURS
from benchmarks.rounds import Results

PYTHON: Final = tuple(one.name for one in ALL if one.name not in (OURS, "c"))


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for a number; `number` returns None when what it needs was not measured."""

    what: str
    bound: float
    number: Callable[[Results], float | None]
    at_least: bool = False
    digits: int = 1

    def line(self, results: Results) -> list[str] | None:
        """Return the cells of its line."""
        number = self.number(results)
        if number is None:
            return None
        reached = number >= self.bound if self.at_least else number <= self.bound
        sign = "≥" if self.at_least else "≤"
        return [
            self.what,
            f"{sign} {self.bound:g}",
            f"{number:.{self.digits}f}",
            "reached" if reached else "**missed**",
        ]


def _value(results: Results, measure: str, value: str, who: str = OURS) -> float | None:
    found = results.of(measure, who)
    return found[value] if isinstance(found, dict) else None


def _plain(measure: str, value: str) -> Callable[[Results], float | None]:
    return lambda results: _value(results, measure, value)


def _factor(measure: str, who: str) -> Callable[[Results], float | None]:
    """How many times as much CPU as we a peer needs."""
    return lambda results: _ratio(
        _value(results, measure, "cpu_us", who), _value(results, measure, "cpu_us")
    )


def _slower(measure: str) -> Callable[[Results], float | None]:
    """How many times as long as the C client we take."""
    return lambda results: _ratio(
        _value(results, measure, "per_second", "c"), _value(results, measure, "per_second")
    )


def _of_best(measure: str, value: str) -> Callable[[Results], float | None]:
    """Our number as a part of the best Python peer's."""

    def number(results: Results) -> float | None:
        theirs = [_value(results, measure, value, name) for name in PYTHON]
        known = [one for one in theirs if one is not None]
        return _ratio(_value(results, measure, value), min(known) if known else None)

    return number


def _order(way: order.Way) -> Callable[[Results], float | None]:
    """Events a second in this order."""
    return lambda results: _value(results, order.MEASURE, "per_second", way.label)


def _shared_keys(results: Results) -> float | None:
    return _ratio(_order(order.KEY_SHARED)(results), _order(order.ANY_SHARED)(results))


def _of_fifo(results: Results) -> float | None:
    """Microseconds of time that it takes more for an event than `any`, one at a time."""
    fifo, single = _order(order.FIFO)(results), _order(order.SINGLE)(results)
    return 1e6 / fifo - 1e6 / single if fifo and single else None


def _ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


GOALS: Final = (
    Goal("consume, CPU µs", 25, _plain("consume", "cpu_us")),
    Goal(
        "consume, FastStream's CPU over ours", 12, _factor("consume", "faststream"), at_least=True
    ),
    Goal("consume, aio-pika's CPU over ours", 9, _factor("consume", "aio-pika"), at_least=True),
    Goal("consume, pika's CPU over ours", 3.5, _factor("consume", "pika"), at_least=True),
    Goal("consume, our time over the C client's", 1.6, _slower("consume"), digits=2),
    Goal("publish, CPU µs", 30, _plain("publish", "cpu_us")),
    Goal("publish, FastStream's CPU over ours", 8, _factor("publish", "faststream"), at_least=True),
    Goal("publish, our time over the C client's", 1.3, _slower("publish"), digits=2),
    Goal("latency p50, ms", 0.8, _plain("latency", "p50_ms"), digits=2),
    Goal("latency p99, ms", 2.5, _plain("latency", "p99_ms"), digits=2),
    Goal("latency p50 over the best Python peer's", 1, _of_best("latency", "p50_ms"), digits=2),
    Goal("memory while events wait, MiB", 80, _plain("memory", "peak_mib")),
    Goal("retry, our CPU over the best Python peer's", 0.25, _of_best("retry", "cpu_us"), digits=2),
    Goal("`key`, 3 processes, events/s over `any`'s", 0.7, _shared_keys, at_least=True, digits=2),
    Goal("`fifo`, its own µs for an event", 150, _of_fifo),
)


def render(results: Results, goals: Sequence[Goal] = GOALS) -> list[str]:
    """Return the lines of a Markdown table, or none when nothing of it was measured."""
    lines = [line for goal in goals if (line := goal.line(results)) is not None]
    if not lines:
        return []
    table = ["| goal | bound | measured | |", "|---|---:|---:|---|"]
    return ["### Goals", "", *table, *(f"| {' | '.join(line)} |" for line in lines), ""]
