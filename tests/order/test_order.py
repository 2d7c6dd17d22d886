"""`make order`: numbered events through all faults, and a checker that shares no code with us.

ORDER_EVENTS (100,000) for each test, ORDER_SEEDS (1) parted by commas.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common.homes import Order
from order.backlog import BacklogRules, check_backlog
from order.campaign import Plan, run_backlog, run_with_faults
from order.checker import Rules, check
from order.history import read_history
from support.broker import Broker, OwnBroker

EVENTS = int(os.environ.get("ORDER_EVENTS", "100000"))
SEEDS = [int(seed) for seed in os.environ.get("ORDER_SEEDS", "1").split(",")]
FASTEST = 1000.0
"""Events in a second at most: more than two cores can handle one by one only makes a backlog."""
LEVELS_SINCE = (4, 3)
"""From this version on a quorum queue gives out the higher priorities first."""

PROMISES: list[tuple[Order, str]] = [
    *(("fifo", "stop"), ("fifo", "skip"), ("key", "stop"), ("key", "skip")),
    *(("any", "stop"), ("priority", "stop"), ("lifo", "stop")),
]
BUGS: list[tuple[Order, str, str, int]] = [
    ("fifo", "stop", "everything at once", 0),
    ("fifo", "skip", "everything at once", 0),
    ("key", "stop", "everything at once", 0),
    ("key", "skip", "everything at once", 0),
    ("fifo", "stop", "others pass what is held", 0),
    ("key", "stop", "others pass what is held", 0),
    ("fifo", "stop", "away with a goodbye", 8),
]
STOPS = ("scale", "stop", "stop", "stop")


def with_faults(order: Order, on_retry: str, seed: int, events: int, sabotage: str = "") -> Plan:
    """Plan a campaign: a fault for each 1500 events, 8 at least; one in ten restarts the broker."""
    faults = max(8, min(60, events // 1500))
    return Plan(
        order,
        on_retry,
        events=events,
        seed=seed,
        rate=300.0 if events < 5000 else FASTEST,
        faults=faults,
        restarts=max(1, faults // 10),
        priorities=8 if order == "priority" else 1,
        pause_every=1 if events < 5000 else 20,
        sabotage=sabotage,
    )


def rules_of(plan: Plan) -> Rules:
    return Rules(plan.order, plan.on_retry, window=plan.window)


def backlog(order: Order, seed: int, events: int, sabotage: str = "") -> Plan:
    """Plan one without faults: each pause gives the broker time to fill the consumer's hand."""
    return Plan(
        order,
        events=events,
        seed=seed,
        rate=100_000.0,
        priorities=8 if order == "priority" else 1,
        window=1000,
        pause=1.5,
        pause_every=500,
        sabotage=sabotage,
    )


def backlog_rules_of(plan: Plan, broker: Broker) -> BacklogRules:
    sorts = plan.order == "priority" and broker.version >= LEVELS_SINCE
    return BacklogRules(plan.order, plan.window, sorts=sorts, grace=1.0)


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("order", "on_retry"), PROMISES)
async def test_no_fault_breaks_the_order_nor_loses_an_event(
    own_broker: OwnBroker,
    tmp_path: Path,
    record_testsuite_property: Callable[[str, object], None],
    order: Order,
    on_retry: str,
    seed: int,
) -> None:
    plan = with_faults(order, on_retry, seed, EVENTS)
    async with own_broker:
        await run_with_faults(own_broker, tmp_path, plan)

    history = read_history(tmp_path)
    report = check(history, rules_of(plan))

    what = f"allowed in {order}-{on_retry}, seed {seed}, on {own_broker.version}"
    record_testsuite_property(what, dict(report.allowed))
    assert len(history.published) == EVENTS
    assert len({run.process for run in history.runs}) > 1
    assert not report.violations


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("order", ["lifo", "priority"])
async def test_of_a_backlog_the_newest_or_the_highest_in_hand_is_the_next(
    broker: Broker, tmp_path: Path, order: Order, seed: int
) -> None:
    plan = backlog(order, seed, EVENTS)
    await run_backlog(broker, tmp_path, plan)

    assert not check_backlog(read_history(tmp_path), backlog_rules_of(plan, broker))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("order", "on_retry", "bug", "faults"), BUGS)
async def test_the_checker_sees_what_breaks_an_order(
    broker: Broker, tmp_path: Path, order: Order, on_retry: str, bug: str, faults: int
) -> None:
    plan = Plan(order, on_retry, faults=faults, kinds=STOPS, fail_every=17, sabotage=bug)
    await run_with_faults(broker, tmp_path, plan)

    report = check(read_history(tmp_path), rules_of(plan))
    assert report.kinds & {"order", "overlap"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("order", "bug", "kind"),
    [
        ("lifo", "the oldest first", "not the newest"),
        ("priority", "the lowest first", "behind a lower one"),
    ],
)
async def test_the_checker_sees_a_wrong_choice_of_a_backlog(
    broker: Broker, tmp_path: Path, order: Order, bug: str, kind: str
) -> None:
    plan = backlog(order, 1, 2000, sabotage=bug)
    await run_backlog(broker, tmp_path, plan)

    found = check_backlog(read_history(tmp_path), backlog_rules_of(plan, broker))
    assert kind in {one.kind for one in found}
