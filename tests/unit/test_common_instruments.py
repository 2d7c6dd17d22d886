"""Our instruments show what the library's own would: names, labels, buckets, to the byte."""

from typing import Any

import prometheus_client as library
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from common import instruments

BUCKETS = (0.005, 0.5, 1, 30)
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"

library.disable_created_metrics()  # type: ignore[no-untyped-call] # the library lacks the annotation


def shown(kinds: Any, accept: str) -> str:
    """Do the same with the instruments of a module, and return what a scrape shows."""
    registry = CollectorRegistry()
    kinds.Counter("handled", "By outcome", ["type", "outcome"], registry=registry).labels(
        'a"\n', "b"
    ).inc(2)
    kinds.Counter("late", "Without labels", registry=registry).inc()
    kinds.Counter("never", "Nothing yet", ["type"], registry=registry)
    kinds.Gauge("connected", "By role", ["role"], registry=registry).labels("publish").set(1)
    kinds.Gauge("depth", "Read when asked", registry=registry).set_function(lambda: 7)
    kinds.Gauge("idle", "Nothing yet", registry=registry)
    seconds = kinds.Histogram("seconds", "Times", ["type"], buckets=BUCKETS, registry=registry)
    for value in (0.001, 0.005, 0.0051, 1, 29.5, 31, 1e9):
        seconds.labels("a").observe(value)
    seconds.labels("b")
    kinds.Histogram("lag", "No labels", buckets=BUCKETS, registry=registry).observe(0.25)
    encoder, _ = choose_encoder(accept)
    text: bytes = encoder(registry)
    return text.decode()


@pytest.mark.parametrize("accept", ["", OPEN_METRICS])
def test_a_scrape_shows_what_the_librarys_own_instruments_show(accept: str) -> None:
    assert shown(instruments, accept) == shown(library, accept)


def test_a_name_that_is_taken_is_refused() -> None:
    registry = CollectorRegistry()
    instruments.Gauge("depth", "x", registry=registry)

    with pytest.raises(ValueError, match="depth"):
        instruments.Gauge("depth", "x", registry=registry)


def test_labels_that_are_too_few_are_refused() -> None:
    one = instruments.Counter("handled", "x", ["type", "outcome"], registry=CollectorRegistry())

    with pytest.raises(ValueError, match="outcome"):
        one.labels("a")
