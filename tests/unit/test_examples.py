"""The examples do what they say."""

import pytest

from common.deadletter import Reason
from examples.demo import BLOCK, fate, on_tick
from tidings import Event
from tidings.testing import Dead, Done, RetryIn, deliver


@pytest.mark.parametrize("block", range(50))
def test_of_every_ten_ticks_one_is_retried_and_one_is_dead(block: int) -> None:
    fates = [fate(block * BLOCK + place) for place in range(BLOCK)]

    assert sorted(fates) == sorted(["retried", "dead"] + ["fine"] * 8)


async def test_the_demo_handler_does_what_the_seed_says() -> None:
    for tick in range(BLOCK):
        event = Event("tidings.tick", {"name": "ticker", "tick": tick})
        first = await deliver(on_tick, event)
        match fate(tick):
            case "fine":
                assert first == Done()
            case "dead":
                assert first == Dead(Reason.REJECTED)
            case "retried":
                assert isinstance(first, RetryIn)
                assert await deliver(on_tick, event, attempt=2) == Done()
