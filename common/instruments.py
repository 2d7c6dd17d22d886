"""Counters, gauges and histograms for one thread: the event loop's, which also answers scrapes.

The library's own take a lock for each change and make objects for each label, which costs more than
handling a whole event may; these are plain numbers. The library still names and renders them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

Sample = tuple[str, dict[str, str], float]
"""What a sample's name ends in, the labels it has beside the metric's own, and its value."""


class Reading(Protocol):
    """The numbers of one combination of labels."""

    def samples(self) -> Iterator[Sample]:
        """Return them as a scrape shows them."""
        ...


R = TypeVar("R", bound=Reading)


class Instrument(Generic[R]):
    """A metric: one reading for each combination of labels that was asked for."""

    kind = ""
    """As Prometheus calls it."""
    suffix = ""
    """What the name ends in where a person reads it."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        *,
        registry: CollectorRegistry,
    ) -> None:
        self.name = name
        self.documentation = documentation
        self.labelnames = tuple(labelnames)
        self._readings: dict[tuple[str, ...], R] = {}
        if not labelnames:
            self.labels()  # shown as 0 from the start
        registry.register(self)

    def labels(self, *values: str) -> R:
        """Return the reading for these labels, in the order of their names."""
        found = self._readings.get(values)
        if found is None:
            if len(values) != len(self.labelnames):
                raise ValueError(f"{self.name} has the labels {self.labelnames}, not {values}")
            found = self._readings[values] = self._made()
        return found

    def describe(self) -> list[Metric]:
        """Say name, kind and meaning: the registry refuses a second one of the name."""
        return [Metric(self.name, self.documentation, self.kind)]

    def collect(self) -> list[Metric]:
        """Return everything, for a scrape."""
        metric = Metric(self.name, self.documentation, self.kind)
        for values, reading in self._readings.items():
            labels = dict(zip(self.labelnames, values, strict=True))
            for suffix, more, value in reading.samples():
                metric.add_sample(self.name + suffix, {**labels, **more}, value)
        return [metric]

    def _made(self) -> R:
        raise NotImplementedError


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Count."""
        self.value += amount

    def samples(self) -> Iterator[Sample]:
        """See `Reading`."""
        yield "_total", {}, self.value


class Counter(Instrument[Count]):
    """How often something has happened."""

    kind, suffix = "counter", "_total"

    def inc(self, amount: float = 1) -> None:
        """Count, where there are no labels."""
        self.labels().inc(amount)

    def _made(self) -> Count:
        return Count()


class Level:
    """A number that goes up and down, or is read when it is asked for."""

    __slots__ = ("_read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """It is now this."""
        self.value = float(value)

    def set_function(self, read: Callable[[], float]) -> None:
        """Read it at each scrape."""
        self._read = read

    def samples(self) -> Iterator[Sample]:
        """See `Reading`."""
        yield "", {}, self.value if self._read is None else float(self._read())


class Gauge(Instrument[Level]):
    """How much of something there is."""

    kind = "gauge"

    def set(self, value: float) -> None:
        """It is now this, where there are no labels."""
        self.labels().set(value)

    def set_function(self, read: Callable[[], float]) -> None:
        """Read it at each scrape, where there are no labels."""
        self.labels().set_function(read)

    def _made(self) -> Level:
        return Level()


class Spread:
    """How many values fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value: a bucket holds what is at most its bound."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self) -> Iterator[Sample]:
        """See `Reading`. Each bucket counts those below it too."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            le: str = floatToGoString(bound)  # type: ignore[no-untyped-call] # the library lacks it
            yield "_bucket", {"le": le}, total
        yield "_count", {}, total
        yield "_sum", {}, self._sum


class Histogram(Instrument[Spread]):
    """How values are spread over buckets."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str] = (),
        *,
        buckets: tuple[float, ...],
        registry: CollectorRegistry,
    ) -> None:
        self._buckets = buckets
        super().__init__(name, documentation, labelnames, registry=registry)

    def observe(self, value: float) -> None:
        """Count a value, where there are no labels."""
        self.labels().observe(value)

    def _made(self) -> Spread:
        return Spread(self._buckets)
