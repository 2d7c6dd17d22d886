"""The topology as values, and the golden file of its arguments."""

import json
from pathlib import Path

import pytest

from common.group_topology import group_topology
from common.homes import home_of
from common.topology import (
    LARGEST_TIER,
    Binding,
    Topology,
    delay_topology,
    events_topology,
    tier_for,
    tiers_up_to,
)

GOLDEN = Path(__file__).parent / "topology.golden.json"


def written(topology: Topology, version: tuple[int, int]) -> dict[str, object]:
    return {
        "exchanges": {one.name: [one.type, dict(one.arguments)] for one in topology.exchanges},
        "queues": {one.name: one.arguments_for(version) for one in topology.queues},
        "bindings": [_said(one) for one in topology.bindings],
    }


def _said(one: Binding) -> str:
    key = " ".join([one.key, *(f"{name}={value}" for name, value in one.arguments)]).strip()
    return f"{one.exchange} --{key}--> {'exchange ' if one.to_exchange else ''}{one.queue}"


def test_the_arguments_are_those_of_the_golden_file() -> None:
    """A queue's arguments cannot change in place: a difference here needs a new queue name."""
    found: dict[str, object] = {}
    for home in (
        home_of("GROUP", "any", 0),
        home_of("GROUP", "fifo", 0),
        home_of("GROUP", "key", 2),
    ):
        topology = group_topology(
            "GROUP", ["order.created", "invoice.*"], longest_delay=4, home=home
        ) + delay_topology(4)
        for version in ((4, 3), (3, 10)):
            found[f"{home.name} on {version[0]}.{version[1]}"] = written(topology, version)

    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("delay", "tier"),
    [
        (0, 1),
        (0.2, 1),
        (1, 1),
        (1.1, 2),
        (2, 2),
        (2.1, 4),
        (3.9, 4),
        (3600, 4096),
        (10**9, LARGEST_TIER),
    ],
)
def test_a_delay_goes_to_the_smallest_tier_that_holds_it(delay: float, tier: int) -> None:
    assert tier_for(delay) == tier


def test_a_policy_gets_every_tier_that_jitter_can_ask_for() -> None:
    assert tiers_up_to(16) == (1, 2, 4, 8, 16)
    assert tiers_up_to(0) == (1,)


def test_every_queue_is_a_quorum_queue_and_only_the_work_queue_has_a_limit() -> None:
    topology = group_topology("g", ["a"], longest_delay=64)

    for queue in topology.queues:
        arguments = queue.arguments_for((4, 3))
        assert arguments["x-queue-type"] == "quorum"
        assert (arguments["x-delivery-limit"] == 20) == (queue.name == "g")
    assert [q.name for q in topology.queues if "x-delivery-limit" in q.arguments_for((3, 10))] == [
        "g"
    ]


def test_whatever_dead_letters_does_so_at_least_once() -> None:
    topology = group_topology("g", ["a"], longest_delay=64) + delay_topology(8)
    for queue in topology.queues:
        arguments = queue.arguments_for((4, 3))
        if "x-dead-letter-exchange" in arguments:
            assert arguments["x-dead-letter-strategy"] == "at-least-once"
            assert arguments["x-overflow"] == "reject-publish"


def test_the_same_parts_of_two_topologies_stand_once() -> None:
    assert events_topology() + events_topology() == events_topology()
