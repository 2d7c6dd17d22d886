"""Connections cut under load; `make faults` does the same two hundred times."""

import pytest

from support.broker import Broker
from support.kills import cut_connections
from support.names import Names


@pytest.mark.serial
@pytest.mark.fault("P3", "C24")
async def test_cut_connections_lose_no_confirmed_event(broker: Broker, names: Names) -> None:
    ledger = await cut_connections(broker, names.group, times=15, seed=1)

    assert ledger.cuts == 15
    assert len(ledger.confirmed) > 100
    assert not ledger.missing
