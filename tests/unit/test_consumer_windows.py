"""How many deliveries are in hand at most, as a table."""

import pytest

from common.homes import Order
from consumer.windows import Version, window_of

NEW, LEVELS, BEFORE, OLD = (4, 3), (4, 0), (3, 13), (3, 10)


@pytest.mark.parametrize(
    ("order", "concurrency", "version", "window"),
    [
        pytest.param("any", 1, NEW, 2, id="any: at least one is ready beside those that run"),
        pytest.param("any", 3, NEW, 4, id="any: also where a quarter is less than one"),
        pytest.param("any", 8, OLD, 10, id="any: a quarter more than run, on any broker"),
        pytest.param("any", 64, NEW, 80, id="any: with what is set by default"),
        pytest.param("any", 60_000, NEW, 65_535, id="any: never more than a channel can have"),
        pytest.param("fifo", 1, NEW, 100, id="fifo: many, as only one runs"),
        pytest.param("fifo", 64, OLD, 100, id="fifo: whatever the concurrency and the broker"),
        pytest.param("key", 1, NEW, 32, id="key: so many of each partition"),
        pytest.param("key", 10_000, OLD, 32, id="key: whatever the concurrency and the broker"),
        pytest.param("lifo", 1, NEW, 256, id="lifo: enough to choose among"),
        pytest.param("lifo", 64, OLD, 256, id="lifo: four for each that runs are no more"),
        pytest.param("lifo", 65, NEW, 260, id="lifo: four for each that runs, where that is more"),
        pytest.param("lifo", 20_000, NEW, 65_535, id="lifo: never more than a channel can have"),
        pytest.param("priority", 64, LEVELS, 80, id="priority: few, where the broker has levels"),
        pytest.param("priority", 1, NEW, 2, id="priority: and at least one is ready"),
        pytest.param("priority", 64, BEFORE, 256, id="priority: enough to choose among before"),
        pytest.param("priority", 100, OLD, 400, id="priority: four for each that runs before"),
        pytest.param("priority", 20_000, OLD, 65_535, id="priority: never more than there can be"),
        pytest.param("priority", 60_000, NEW, 65_535, id="priority: nor where there are levels"),
    ],
)
def test_the_window_follows_from_the_order_and_the_concurrency(
    order: Order, concurrency: int, version: Version, window: int
) -> None:
    assert window_of(order, concurrency, None, version) == window


@pytest.mark.parametrize("version", [NEW, OLD])
@pytest.mark.parametrize("order", ["any", "fifo", "lifo", "priority", "key"])
def test_what_is_chosen_wins_whatever_else_would_follow(order: Order, version: Version) -> None:
    assert window_of(order, 64, 1, version) == 1
    assert window_of(order, 1, 2000, version) == 2000
