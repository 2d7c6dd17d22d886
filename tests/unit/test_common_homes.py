"""The homes of a group: their names, and that what is led to one has one queue to wait in."""

from itertools import combinations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from common.group_topology import group_topology
from common.homes import Home, Order, begun_name, home_of, home_topology, homes_of
from common.slot import PARTITIONS, SLOT, SLOTS, slots_of
from common.topology import Queue, Topology, events_topology

HOMES = [pytest.param(home, id=home.name) for home in homes_of("g")]
EVERY_SLOT = {str(number) for number in range(64)}
every_home = pytest.mark.parametrize("home", HOMES)
groups = st.lists(
    st.sampled_from(
        ["a", "b", "fifo", "key1", "key16", "0", "other", "dead", "begun", "delay", "v1", "1s"]
    ),
    min_size=1,
    max_size=5,
).map(".".join)


def whole(home: Home) -> Topology:
    """All that the group has, and what the producer sees to."""
    topology = group_topology(home.group, ["order.*", "paid"], longest_delay=4, home=home)
    return events_topology() + topology


def all_of(group: str) -> Topology:
    """All that the group could have in any of its homes, and no other group should."""
    topology = Topology()
    for home in homes_of(group):
        topology += group_topology(group, [], longest_delay=2, home=home)
    shared = events_topology()
    return Topology(
        tuple(one for one in topology.exchanges if one not in shared.exchanges),
        tuple(one for one in topology.queues if one not in shared.queues),
    )


def queue_names(topology: Topology) -> set[str]:
    return {one.name for one in topology.queues}


def exchange_names(topology: Topology) -> set[str]:
    return {one.name for one in topology.exchanges}


@pytest.mark.parametrize(
    ("order", "partitions", "name", "entrance", "queues"),
    [
        ("any", 16, "any", "g", ["g"]),
        ("lifo", 16, "any", "g", ["g"]),
        ("priority", 16, "any", "g", ["g"]),
        ("fifo", 16, "fifo", "g.fifo", ["g.fifo"]),
        ("key", 1, "key1", "g.key1", ["g.key1.0", "g.key1.other"]),
        ("key", 2, "key2", "g.key2", ["g.key2.0", "g.key2.1", "g.key2.other"]),
    ],
)
def test_a_home_has_the_names_of_its_order(
    order: Order, partitions: int, name: str, entrance: str, queues: list[str]
) -> None:
    home = home_of("g", order, partitions)

    assert (home.name, home.entrance, list(home.queue_names)) == (name, entrance, queues)


def test_a_group_has_a_home_without_order_one_in_line_and_one_for_each_number_of_partitions() -> (
    None
):
    assert [home.name for home in homes_of("g")] == [
        "any", "fifo", "key1", "key2", "key4", "key8", "key16", "key32", "key64",
    ]  # fmt: skip


def test_no_two_homes_of_a_group_share_a_queue_or_an_entrance() -> None:
    for one, other in combinations(homes_of("g"), 2):
        assert not set(one.queue_names) & set(other.queue_names)
        assert one.entrance != other.entrance
        assert one.name != other.name


def test_no_home_has_a_queue_named_as_something_else_of_its_group() -> None:
    others = queue_names(group_topology("g", [], longest_delay=10**9)) - {"g"}
    others.add(begun_name("g"))

    for home in homes_of("g"):
        assert not set(home.queue_names) & others
        assert len(set(home.queue_names)) == len(home.queue_names)


@given(one=groups, other=groups)
@example(one="a", other="a.fifo")
@example(one="a", other="a.key16.0")
@example(one="a", other="a.key1")
def test_groups_share_a_queue_only_where_one_is_named_as_a_queue_of_the_other(
    one: str, other: str
) -> None:
    assume(one != other)
    first, second = all_of(one), all_of(other)

    shared = queue_names(first) & queue_names(second)
    assert bool(shared) is (one in queue_names(second) or other in queue_names(first))
    assert not exchange_names(first) & exchange_names(second)


def test_the_longest_name_of_the_longest_group_is_none_too_long_for_the_broker() -> None:
    group = "g" * 200
    for home in homes_of(group):
        topology = group_topology(group, [], longest_delay=10**9, home=home)
        assert max(map(len, queue_names(topology) | exchange_names(topology))) <= 255


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_the_partitions_share_all_slots_evenly(partitions: int) -> None:
    shares = [slots_of(number, partitions) for number in range(partitions)]

    assert {len(share) for share in shares} == {64 // partitions}
    assert set().union(*shares) == EVERY_SLOT
    assert sum(map(len, shares)) == SLOTS == 64


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_each_slot_is_led_to_one_partition_and_what_has_none_to_the_others(
    partitions: int,
) -> None:
    home = home_of("g", "key", partitions)
    topology = home_topology(home)
    (entrance,) = (one for one in topology.exchanges if one.name == home.entrance)
    led: dict[str, str] = {}
    for one in topology.bindings:
        if one.exchange == home.entrance:
            arguments = dict(one.arguments)
            assert arguments["x-match"] == "all"
            assert str(arguments[SLOT]) not in led
            led[str(arguments[SLOT])] = one.queue

    assert led == {slot: home.partition(int(slot) % partitions) for slot in EVERY_SLOT}
    assert (entrance.type, dict(entrance.arguments)) == (
        "headers",
        {"alternate-exchange": home.others},
    )
    assert [one.queue for one in topology.bindings if one.exchange == home.others] == [home.others]


@every_home
def test_all_that_is_for_the_group_is_led_to_the_entrance_of_its_home(home: Home) -> None:
    topology = whole(home)
    led = {
        (one.exchange, one.key, one.to_exchange)
        for one in topology.bindings
        if one.queue == home.entrance and one.exchange != home.entrance
    }

    by_exchange = home.partitions > 0
    assert led == {
        ("events", "order.*", by_exchange),
        ("events", "paid", by_exchange),
        ("g.return", "g", by_exchange),
    }


@every_home
def test_all_that_is_named_anywhere_is_declared(home: Home) -> None:
    topology = whole(home)
    exchanges, queues = exchange_names(topology), queue_names(topology)

    assert len(exchanges) == len(topology.exchanges)
    assert len(queues) == len(topology.queues)
    for one in topology.bindings:
        assert one.exchange in exchanges
        assert one.queue in (exchanges if one.to_exchange else queues)
    for exchange in topology.exchanges:
        assert dict(exchange.arguments).get("alternate-exchange", "events") in exchanges
    for queue in topology.queues:
        assert dict(queue.arguments).get("x-dead-letter-exchange", "events") in exchanges


@every_home
def test_only_an_ordered_home_has_one_consumer_at_a_time_and_no_delivery_limit(
    home: Home,
) -> None:
    declared: dict[str, Queue] = {one.name: one for one in home_topology(home).queues}
    for name in home.queue_names:
        on_new, on_old = (declared[name].arguments_for(version) for version in ((4, 3), (3, 13)))
        assert on_new.get("x-single-active-consumer", False) is home.ordered
        assert on_old.get("x-single-active-consumer", False) is home.ordered
        assert on_new["x-delivery-limit"] == (-1 if home.ordered else 20)
        assert on_old.get("x-delivery-limit") == (None if home.ordered else 20)


@every_home
def test_a_queue_of_any_home_leads_its_dead_letters_to_those_of_the_group(home: Home) -> None:
    topology = whole(home)
    assert ("g.dead", "g.dead", "g") in {
        (one.exchange, one.queue, one.key) for one in topology.bindings
    }
    for queue in topology.queues:
        if queue.name in home.queue_names:
            arguments = dict(queue.arguments)
            assert arguments["x-dead-letter-exchange"] == "g.dead"
            assert arguments["x-dead-letter-routing-key"] == "g"
            assert arguments["x-dead-letter-strategy"] == "at-least-once"


@every_home
def test_an_ordered_home_has_a_queue_of_notes_which_no_event_is_led_to(home: Home) -> None:
    topology = whole(home)

    assert ("g.begun" in queue_names(topology)) is home.ordered
    assert {one.exchange for one in topology.bindings if one.queue == "g.begun"} == (
        {"g.begun"} if home.ordered else set()
    )


def test_a_group_has_a_home_without_order_where_no_other_is_named() -> None:
    assert group_topology("g", ["a"], longest_delay=4) == group_topology(
        "g", ["a"], longest_delay=4, home=home_of("g", "any", 0)
    )
