"""Two hundred cut connections under load."""

import pytest

from support.broker import Broker
from support.kills import cut_connections
from support.names import Names


@pytest.mark.serial
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.fault("P3", "C24")
async def test_two_hundred_cut_connections_lose_no_confirmed_event(
    broker: Broker, names: Names, seed: int
) -> None:
    ledger = await cut_connections(broker, names.group, times=100, seed=seed)

    assert ledger.cuts == 100
    assert len(ledger.confirmed) > 1_000
    assert not ledger.missing
