"""What `make bench BENCH_WHAT=order` counts and says."""

from benchmarks import goals, order
from benchmarks.amqp import Confirms
from benchmarks.rounds import Results


def test_confirms_of_several_queues_count_without_a_gap() -> None:
    confirms = Confirms()
    confirms.take(2, all_before=False)
    confirms.take(4, all_before=False)
    assert confirms.count == 0
    confirms.take(1, all_before=False)
    assert confirms.count == 2
    confirms.take(3, all_before=True)
    assert confirms.count == 4
    confirms.take(4, all_before=False)
    assert confirms.count == 4


def test_each_way_has_a_row_and_what_failed_says_why() -> None:
    results = Results()
    for way, rate in ((order.ANY, 20_000.0), (order.FIFO, 5_000.0)):
        values = {"cpu_us": 25.0, "per_second": rate}
        results.taken[order.MEASURE, way.label] = [values] * 3
    results.failed[order.MEASURE, order.KEY.label] = ["a|b"]
    rows = [line.split("|")[1:-1] for line in order.render(results)[2:-1]]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert cells["any"] == ["20,000", "1.00", "25.0", "50.0"]
    assert cells["fifo"] == ["5,000", "0.25", "25.0", "200.0"]
    assert cells["key"] == ["failed: a/b", "—", "—", "—"]
    assert order.LIFO.label not in cells
    assert order.render(Results()) == []


def test_goals_of_the_orders() -> None:
    results = Results()
    rates = (
        (order.SINGLE, 10_000.0),
        (order.FIFO, 5_000.0),
        (order.ANY_SHARED, 20_000.0),
        (order.KEY_SHARED, 15_000.0),
    )
    for way, rate in rates:
        results.taken[order.MEASURE, way.label] = [{"cpu_us": 25.0, "per_second": rate}]
    assert goals.render(results)[4:-1] == [
        "| `key`, 3 processes, events/s over `any`'s | ≥ 0.7 | 0.75 | reached |",
        "| `fifo`, its own µs for an event | ≤ 150 | 100.0 | reached |",
    ]


def test_ways_of_one_group_have_one_home() -> None:
    homes: dict[str, set[str]] = {}
    for way in order.WAYS:
        homes.setdefault(way.settings["TIDINGS_GROUP"], set()).add(way.home.entrance)
    assert all(len(entrances) == 1 for entrances in homes.values())
