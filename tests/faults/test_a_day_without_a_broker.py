"""A broker that is away for long: all that was accepted meanwhile arrives afterwards, in order."""

from pathlib import Path

import pytest

from support.broker import Broker
from support.copies import copies_in
from support.crashes import KILLED, program, waiting
from support.producing import NOBODY, bind

HALF = 10_000
TYPE = "order.kept"


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.fault("P1", "P18")
async def test_twenty_thousand_events_of_a_day_without_a_broker_arrive_in_order(
    broker: Broker, tmp_path: Path
) -> None:
    """Accepted by two processes, both killed; sent by a third."""
    await bind(broker.uri, "kept", TYPE)

    for first in (0, HALF):
        async with program(
            NOBODY, tmp_path, TYPE, first=first, count=HALF, together=200
        ) as running:
            await running.says("all", within=100)
            await running.kill()
            assert await running.ends() == KILLED
        assert len(running.returned) == HALF
    assert len(waiting(tmp_path)) == 2 * HALF
    async with program(broker.uri, tmp_path, TYPE) as running:
        assert await running.ends(within=100) == 0

    assert waiting(tmp_path) == []
    copies = await copies_in(broker, "kept")
    assert list(copies) == [f"e{number}" for number in range(2 * HALF)]
    assert set(copies.values()) == {1}
