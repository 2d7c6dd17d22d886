"""The steps of `tidings topology migrate`, on a model of a broker: no type goes to both homes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, permutations

import pytest

from common.errors import ConfigError
from common.group_topology import group_topology
from common.homes import Home, begun_name, home_of, home_topology, moving_name
from common.topology import EVENTS, Binding, Topology, return_name
from ops.differences import Found, sorted_arguments
from ops.emptying import Emptying, Reading, Stage
from ops.moves import (
    Bind,
    Declare,
    DeleteExchange,
    DeleteQueue,
    Move,
    Step,
    Unbind,
    origin,
    steps_to_end,
    steps_to_target,
)

ANY, FIFO = home_of("g", "any", 0), home_of("g", "fifo", 0)
KEY4, KEY8 = home_of("g", "key", 4), home_of("g", "key", 8)
TYPES = ("order.created", "order.paid", "mail.sent")
PAIRS = list(permutations((ANY, FIFO, KEY4, KEY8), 2))


@dataclass
class Model:
    """What a broker knows; each step changes it as a broker would."""

    exchanges: dict[str, dict[str, object]] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)
    bindings: set[Binding] = field(default_factory=set)

    @classmethod
    def of(cls, home: Home, *types: str) -> "Model":
        model = cls()
        model.add(group_topology("g", types, longest_delay=4, home=home))
        return model

    def add(self, topology: Topology) -> None:
        self.exchanges |= {one.name: dict(one.arguments) for one in topology.exchanges}
        self.queues |= {one.name for one in topology.queues}
        for one in topology.bindings:
            self.bindings.add(sorted_arguments(one))
            assert one.exchange in self.exchanges
            assert one.queue in (self.exchanges if one.to_exchange else self.queues)

    @property
    def found(self) -> Found:
        return Found(
            version=(4, 3),
            exchanges={name: ("any", found) for name, found in self.exchanges.items()},
            queues={name: {} for name in self.queues},
            bindings=frozenset(self.bindings),
        )

    def do(self, step: Step) -> None:
        match step:
            case Declare(topology):
                self.add(topology)
            case Bind(binding):
                self.add(Topology(bindings=(binding,)))
            case Unbind(binding):
                self.bindings.remove(binding)
            case DeleteQueue(name):
                self.queues.remove(name)
                self.bindings = {one for one in self.bindings if one.queue != name}
            case DeleteExchange(name):
                del self.exchanges[name]
                self.bindings = {one for one in self.bindings if name not in _exchanges(one)}

    def homes(self, type_: str, *, within: tuple[Home, ...], exchange: str = EVENTS) -> list[Home]:
        """Return the homes that an event of this type gets to; each once, as on a broker."""
        reached, seen, ahead = set[str](), set[str](), [exchange]
        entrances = {home.entrance: home for home in within}
        while ahead:
            here = ahead.pop()
            if here in seen:
                continue
            seen.add(here)
            found = [
                one.queue
                for one in self.bindings
                if one.exchange == here and one.key in (type_, "#", "")
            ]
            if not found and (other := self.exchanges[here].get("alternate-exchange")):
                found = [str(other)]
            reached |= set(found) & entrances.keys()
            ahead += [one for one in found if one in self.exchanges and one not in entrances]
        return [entrances[one] for one in sorted(reached)]


def _exchanges(binding: Binding) -> tuple[str, ...]:
    return (binding.exchange, *([binding.queue] if binding.to_exchange else []))


def moving(old: Home, target: Home, *types: str) -> tuple[Model, Move]:
    """Return a broker with a group in `old`, and the parts of its new home."""
    model = Model.of(old, *TYPES)
    model.add(home_topology(target))
    return model, Move(old, target, frozenset(types))


def run(model: Model, move: Move, *, at_most: int) -> Iterator[Step]:
    """Carry out the steps to the target, beginning anew after each `at_most` of them."""
    while steps := list(islice(steps_to_target(move, model.found), at_most)):
        for step in steps:
            model.do(step)
            yield step


@pytest.mark.parametrize("at_most", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(("old", "target"), PAIRS)
def test_each_type_goes_to_one_home_at_every_step_and_all_switch_at_once(
    old: Home, target: Home, at_most: int
) -> None:
    model, move = moving(old, target, "new.type", TYPES[0])
    was, switches = old, 0
    for _ in run(model, move, at_most=at_most):
        now = [model.homes(type_, within=(old, target)) for type_ in TYPES]
        assert now in ([[old]] * 3, [[target]] * 3)
        switches += now[0] != [was]
        (was,) = now[0]
        assert model.homes("new.type", within=(old, target)) in ([], [target])
        assert model.homes("g", within=(old, target), exchange=return_name("g")) == [old]

    assert switches == 1
    assert was == target
    assert model.homes("new.type", within=(old, target)) == [target]
    assert not [one for one in model.bindings if one.exchange == EVENTS and "to" in one.queue]


@pytest.mark.parametrize("at_most", [1, 2, 3, 100])
@pytest.mark.parametrize(("old", "target"), PAIRS)
def test_the_end_leaves_what_a_group_in_the_new_home_has_and_nothing_else(
    old: Home, target: Home, at_most: int
) -> None:
    model, move = moving(old, target)
    for _ in run(model, move, at_most=100):
        pass
    while True:
        came_from = origin(target, model.found)
        if came_from is None:
            break
        again = Move(came_from, target)
        assert not list(steps_to_target(again, model.found))
        for step in islice(steps_to_end(again, model.found), at_most):
            model.do(step)
            assert old.entrance in model.queues | model.exchanges.keys() or isinstance(
                step, DeleteQueue | DeleteExchange
            )

    assert model == Model.of(target, *TYPES)


FRESH = (
    "made {way}g.to-{name}",
    "bound g.to-{name} -> g  #",
    "bound events -> g.to-{name}  a",
    "unbound events -> g  a",
    "bound events -> g.to-{name}  b",
    "unbound events -> g  b",
    "unbound g.to-{name} -> g  #",
    "bound events -> {entrance}  a",
    "bound events -> {entrance}  b",
    "unbound events -> g.to-{name}  a",
    "unbound events -> g.to-{name}  b",
)


@pytest.mark.parametrize("target", [FIFO, KEY4], ids=lambda home: home.name)
@pytest.mark.parametrize("done", range(len(FRESH)))
def test_after_an_interruption_the_rest_follows_from_the_bindings(target: Home, done: int) -> None:
    model = Model.of(ANY, "a", "b")
    model.add(home_topology(target))
    move = Move(ANY, target)
    way = "" if target.partitions else f"{move.way}, "
    expected = [one.format(name=target.name, entrance=target.entrance, way=way) for one in FRESH]

    for step in islice(steps_to_target(move, model.found), done):
        model.do(step)

    assert [str(step) for step in steps_to_target(move, model.found)] == expected[done:]


def test_what_an_old_consumer_bound_again_is_led_away_again() -> None:
    model, move = moving(ANY, FIFO)
    for _ in run(model, move, at_most=100):
        pass
    model.add(Topology(bindings=(move.to_old(TYPES[1]), move.to_old("late.type"))))

    assert [str(step) for step in steps_to_target(move, model.found)] == [
        "bound events -> g.fifo  late.type",
        "unbound events -> g  late.type",
        "unbound events -> g  order.paid",
    ]


def test_a_group_without_types_gets_those_of_its_new_handlers() -> None:
    model = Model.of(ANY)
    model.add(home_topology(FIFO))
    move = Move(ANY, FIFO, frozenset({"a"}))

    steps = [str(step) for step in run(model, move, at_most=1)]

    assert steps == ["made g.to-fifo.entrance, g.to-fifo", "bound events -> g.fifo  a"]


def test_the_notes_of_ordered_homes_stay_in_an_ordered_home_only() -> None:
    for target, stays in ((ANY, False), (KEY8, True)):
        model, move = moving(FIFO, target)
        for step in steps_to_end(move, model.found):
            model.do(step)
        assert (begun_name("g") in model.queues) == stays


def test_a_group_in_no_other_home_has_nowhere_to_come_from() -> None:
    assert origin(FIFO, Model.of(FIFO, "a").found) is None
    assert origin(FIFO, Model().found) is None
    assert origin(FIFO, Model.of(KEY8, "a").found) == KEY8


def test_a_group_in_several_homes_or_on_its_way_elsewhere_is_refused() -> None:
    several = Model.of(ANY, "a")
    several.add(home_topology(KEY4))
    with pytest.raises(ConfigError, match=r"several homes .*queue 'g', exchange 'g\.key4'"):
        origin(FIFO, several.found)

    away = Model.of(ANY, "a")
    away.exchanges[moving_name("g", KEY4)] = {}
    with pytest.raises(ConfigError, match=r"on its way to the order 'key4'.*TIDINGS_PARTITIONS=4"):
        origin(FIFO, away.found)


NOTHING, CONSUMED = Reading({}, {"g": 0}), Reading({}, {"g": 2})
SOME, UNKNOWN = Reading({"g": 3}, {"g": 0}), Reading({"g": None}, {"g": 1})


@pytest.mark.parametrize(
    ("readings", "stage"),
    [
        ([(0, SOME)], Stage.LEFT),
        ([(0, UNKNOWN)], Stage.LEFT),
        ([(0, CONSUMED)], Stage.SETTLING),
        ([(0, CONSUMED), (9, CONSUMED)], Stage.SETTLING),
        ([(0, CONSUMED), (10, CONSUMED)], Stage.CONSUMED),
        ([(0, CONSUMED), (5, SOME), (10, CONSUMED)], Stage.SETTLING),
        ([(0, CONSUMED), (10, NOTHING)], Stage.SETTLING),
        ([(0, CONSUMED), (10, NOTHING), (20, NOTHING)], Stage.EMPTY),
        ([(0, CONSUMED), (10, NOTHING), (15, CONSUMED), (20, NOTHING)], Stage.SETTLING),
        ([(0, NOTHING), (10, NOTHING)], Stage.EMPTY),
    ],
)
def test_a_home_is_empty_when_nothing_was_seen_for_longer_than_statistics_lag(
    readings: list[tuple[float, Reading]], stage: Stage
) -> None:
    emptying = Emptying(lag=10)
    assert [emptying.look(reading, now) for now, reading in readings][-1] is stage


def test_progress_names_some_places_and_what_nobody_consumes() -> None:
    many = Reading({f"q{n}": n for n in range(1, 8)}, {"q1": 0, "q2": 1, "q9": 0})
    assert str(many) == ("1 in q1, 2 in q2, 3 in q3, 4 in q4, 5 in q5, some in 2 more queues")
    assert many.unattended == ["q1"]
    assert str(UNKNOWN) == "no statistics yet of 1 queues"
