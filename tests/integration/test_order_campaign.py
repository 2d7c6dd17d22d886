"""Three short seeds of `make order`, without a restart of the broker."""

from pathlib import Path

import pytest

from common.homes import Order
from order.campaign import Plan, run_with_faults
from order.checker import Rules, check
from order.history import read_history
from support.broker import Broker

EVENTS = 600


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("order", ["fifo", "key"])
async def test_events_stay_in_order_through_faults(
    broker: Broker, tmp_path: Path, order: Order, seed: int
) -> None:
    plan = Plan(order, seed=seed, events=EVENTS, faults=5)
    await run_with_faults(broker, tmp_path, plan)

    history = read_history(tmp_path)
    assert len(history.published) == EVENTS
    assert not check(history, Rules(order, window=plan.window)).violations
