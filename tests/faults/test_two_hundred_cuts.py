"""Two hundred cut connections under load."""

from collections.abc import Callable

import pytest

from support.broker import Broker
from support.kills import cut_connections
from support.names import Names


@pytest.mark.serial
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
async def test_two_hundred_cut_connections_lose_no_confirmed_event(
    broker: Broker, names: Names, seed: int, record_property: Callable[[str, object], None]
) -> None:
    ledger = await cut_connections(broker, names.group, times=100, seed=seed)

    twice = sum(1 for count in ledger.handled.values() if count > 1)
    record_property("confirmed", len(ledger.confirmed))
    record_property("handled more than once", twice)
    assert not ledger.missing
