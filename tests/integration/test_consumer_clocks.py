"""Consumers whose clocks differ by hours: an event goes from one to the other, and ages not."""

import time
from types import SimpleNamespace

import pytest

from common.topology import dead_name
from consumer import wiring
from support.broker import Broker
from support.names import Names
from support.processes import sample_in
from support.services import consuming, dead_letters, emit
from support.waiting import until
from tidings import Context, Event, RetryPolicy, handler

HOUR_NS = 3600 * 10**9
PATIENT = RetryPolicy(attempts=3, first_delay=1.0, factor=1.0, max_age=600.0)
"""Gives an event up that has failed for ten minutes: less than what the clocks differ by."""


def set_clock(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Let consumers that start from now on be ahead by so many hours."""
    skewed = SimpleNamespace(time_ns=lambda: time.time_ns() + hours * HOUR_NS)
    monkeypatch.setattr(wiring, "time", skewed)


@pytest.mark.fault("C45")
async def test_a_consumer_that_is_an_hour_behind_goes_on_with_what_another_has_begun(
    broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[tuple[str, int]] = []

    @handler("order.created", retry=PATIENT)
    async def charge(event: Event, ctx: Context) -> None:
        attempts.append((event.id, ctx.attempt))
        if ctx.attempt == 1 or event.data == "bad":
            raise ConnectionError("not yet")

    set_clock(monkeypatch, +1)
    async with consuming(broker.uri, names.group, charge):
        await emit(broker.uri, "order.created", "good", "bad")
        await until(lambda: len(attempts) == 2, what="both have failed with the fast clock")
    set_clock(monkeypatch, -1)
    async with consuming(broker.uri, names.group, charge) as main:
        (letter,) = await dead_letters(broker.uri, names.group, 1)
        await until(lambda: ("e0", 2) in attempts)

    assert sorted(attempts) == [("e0", 1), ("e0", 2), ("e1", 1), ("e1", 2), ("e1", 3)]
    assert (letter.id, letter.attempts) == ("e1", 3)
    first, *_, last = letter.attempt_times_ms
    assert last < first, "the clocks did differ"
    metrics = main.metrics.render()[0].decode()
    assert sample_in(metrics, "tidings_event_lag_seconds_count") == 3
    assert sample_in(metrics, "tidings_event_lag_seconds_sum") == 0
    assert await broker.messages(names.group) == 0


@pytest.mark.fault("C45")
async def test_an_event_from_the_future_is_handled_and_is_not_younger_than_nothing(
    broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    set_clock(monkeypatch, -1)
    async with consuming(broker.uri, names.group, charge) as main:
        await emit(broker.uri, "order.created", 1, 2)
        await until(lambda: len(seen) == 2)

    metrics = main.metrics.render()[0].decode()
    assert sample_in(metrics, "tidings_event_lag_seconds_sum") == 0
    assert await broker.messages(dead_name(names.group)) == 0
