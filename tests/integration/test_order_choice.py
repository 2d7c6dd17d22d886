"""`TIDINGS_ORDER=lifo` and `priority` choose among those in hand; `TIDINGS_MAX_AGE` sheds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.deadletter import Reason
from common.envelope import to_message
from common.event import Event as Made
from common.message import Message
from common.topology import dead_name, tier_name
from consumer.main import Main
from support.broker import Broker
from support.names import Names
from support.services import consuming, dead_letters, emit, send
from support.waiting import until
from tidings import Context, Event, RetryPolicy, handler

BACKLOG = 30
LEVELS = (4, 3)
"""From this version on the broker itself gives out the urgent first, by 32 levels."""


class Shop:
    """Handlers that wait until `gate` is open; `runs` are the ids as they started."""

    def __init__(self, fails: Callable[[str, int], bool] = lambda *_: False) -> None:
        self.runs: list[str] = []
        self.attempts: list[tuple[str, int]] = []
        self.gate = asyncio.Event()

        @handler("order.created", retry=RetryPolicy.delays("1s"))
        async def charge(event: Event, ctx: Context) -> None:
            self.runs.append(event.id)
            self.attempts.append((event.id, ctx.attempt))
            await self.gate.wait()
            if fails(event.id, ctx.attempt):
                raise ValueError("not yet")

        self.charge = charge


@pytest.fixture
def shop() -> Shop:
    return Shop()


def ids(*numbers: int) -> list[str]:
    return [f"e{number}" for number in numbers]


def event(number: int, *, age: float | None = 0.0) -> Made:
    """Return an event that was made so long ago; None: without a time."""
    time = None if age is None else datetime.now(UTC) - timedelta(seconds=age)
    return Made("order.created", number, id=f"e{number}", source="test", time=time)


async def ranked(uri: str, *priorities: int | None) -> None:
    """Publish an event for each of these."""
    messages = [
        to_message(event(number))._replace(priority=priority)
        for number, priority in enumerate(priorities)
    ]
    await send(uri, *messages, type_="order.created")


def in_hand(main: Main) -> float:
    return next(iter(main.metrics.in_hand.labels().samples()))[2]


async def bind(broker: Broker, group: str, shop: Shop, **given: Any) -> None:
    """Make the queue by starting once; what is published then waits for the next start."""
    async with consuming(broker.uri, group, shop.charge, **given):
        pass


@asynccontextmanager
async def one_at_a_time(
    broker: Broker, group: str, shop: Shop, **given: Any
) -> AsyncIterator[Main]:
    """Consume; the first that starts is held until the whole backlog is in hand."""
    async with consuming(broker.uri, group, shop.charge, concurrency=1, **given) as main:
        await until(lambda: in_hand(main) == BACKLOG, what="the backlog is in hand")
        assert len(shop.runs) == 1
        shop.gate.set()
        await until(lambda: len(shop.runs) == BACKLOG)
        yield main


async def test_of_a_backlog_the_first_starts_at_once_and_then_the_newest_first(
    broker: Broker, names: Names, shop: Shop
) -> None:
    await bind(broker, names.group, shop, order="lifo")
    await emit(broker.uri, "order.created", *range(BACKLOG))
    async with one_at_a_time(broker, names.group, shop, order="lifo"):
        pass

    assert shop.runs == ids(0, *range(BACKLOG - 1, 0, -1))


async def test_a_backlog_beyond_the_window_is_worked_off_with_the_newest_of_those_in_hand(
    broker: Broker, names: Names, shop: Shop
) -> None:
    """Each that is handled lets one newer event in; how soon, before or after the next start, is
    the broker's affair, so only the first two places are certain."""
    given: dict[str, Any] = {"order": "lifo", "window": 5, "concurrency": 1}
    await bind(broker, names.group, shop, **given)
    await emit(broker.uri, "order.created", *range(8))
    async with consuming(broker.uri, names.group, shop.charge, **given) as main:
        await until(lambda: in_hand(main) == 5)
        assert shop.runs == ids(0)
        shop.gate.set()
        await until(lambda: len(shop.runs) == 8)

    assert sorted(shop.runs) == sorted(ids(*range(8)))
    assert shop.runs[:2] == ids(0, 4)


async def test_the_most_urgent_in_hand_starts_first_and_equal_ones_as_they_came(
    broker: Broker, names: Names, shop: Shop
) -> None:
    """Given some that are sent while the first runs, so that no broker has a choice."""
    priorities = [0, 31, None, 15, 31, 0, None, 15, 23, 8]
    given: dict[str, Any] = {"order": "priority", "concurrency": 1, "window": 100}
    async with consuming(broker.uri, names.group, shop.charge, **given) as main:
        await emit(broker.uri, "order.created", 1, prefix="first")
        await until(lambda: shop.runs == ["first0"])
        await ranked(broker.uri, *priorities)
        await until(lambda: in_hand(main) == 1 + len(priorities))
        shop.gate.set()
        await until(lambda: len(shop.runs) == 1 + len(priorities))

    assert shop.runs == ["first0", *ids(1, 4, 8, 3, 7, 9, 2, 6, 0, 5)]


async def test_of_a_backlog_all_but_the_first_start_by_their_priorities(
    broker: Broker, names: Names, shop: Shop
) -> None:
    priorities = [(0, 31, None, 15, 23)[number % 5] for number in range(BACKLOG)]
    given: dict[str, Any] = {"order": "priority", "window": 100}
    await bind(broker, names.group, shop, **given)
    await ranked(broker.uri, *priorities)
    async with one_at_a_time(broker, names.group, shop, **given):
        pass

    first = 1 if broker.version >= LEVELS else 0
    rest = sorted(
        (number for number in range(BACKLOG) if number != first),
        key=lambda number: (-_level(priorities[number]), number),
    )
    assert shop.runs == ids(first, *rest)


def _level(priority: int | None) -> int:
    return 4 if priority is None else priority


async def test_a_broker_with_levels_gives_the_most_urgent_of_a_backlog_first(
    broker: Broker, names: Names, shop: Shop
) -> None:
    """Given one in hand at a time; brokers without levels give them as they came."""
    priorities = [0, 3, None, 4, 5, 31]
    given: dict[str, Any] = {"order": "priority", "concurrency": 1, "window": 1}
    await bind(broker, names.group, shop, **given)
    await ranked(broker.uri, *priorities)
    shop.gate.set()
    async with consuming(broker.uri, names.group, shop.charge, **given):
        await until(lambda: len(shop.runs) == len(priorities))

    in_turn = (5, 4, 2, 3, 1, 0) if broker.version >= LEVELS else range(6)
    assert shop.runs == ids(*in_turn)


@pytest.mark.parametrize("order", ["lifo", "priority"])
async def test_a_retry_goes_through_the_delay_tiers_and_holds_nobody(
    broker: Broker, names: Names, order: str
) -> None:
    shop = Shop(fails=lambda id_, attempt: id_ == "e1" and attempt == 1)
    shop.gate.set()

    async def it_waits() -> bool:
        return await broker.messages(tier_name(names.group, 1)) == 1

    async with consuming(broker.uri, names.group, shop.charge, order=order, concurrency=1):
        await emit(broker.uri, "order.created", *range(3))
        await until(it_waits, what="the retry waits in its tier")
        await until(lambda: len(shop.attempts) == 4)

    assert shop.attempts[-1] == ("e1", 2)
    assert set(shop.attempts[:-1]) == {(id_, 1) for id_ in ids(0, 1, 2)}


@pytest.mark.parametrize("order", ["any", "fifo", "key", "priority", "lifo"])
async def test_an_event_that_is_too_old_at_its_turn_is_set_aside_and_says_so(
    broker: Broker, names: Names, shop: Shop, order: str
) -> None:
    shop.gate.set()
    given: dict[str, Any] = {"order": order, "partitions": 1, "max_age": 60.0}
    async with consuming(broker.uri, names.group, shop.charge, **given):
        events = [event(0, age=600), event(1), event(2, age=30)]
        await send(broker.uri, *map(to_message, events), type_="order.created")
        (letter,) = await dead_letters(broker.uri, names.group, 1)
        await until(lambda: len(shop.runs) == 2)

    assert set(shop.runs) == {"e1", "e2"}
    assert (letter.id, letter.reason, letter.attempts) == ("e0", Reason.TOO_OLD, 0)
    assert letter.message == "made 10m ago, and TIDINGS_MAX_AGE is 1m"


async def test_an_event_without_a_time_is_never_too_old(
    broker: Broker, names: Names, shop: Shop
) -> None:
    shop.gate.set()
    async with consuming(broker.uri, names.group, shop.charge, max_age=60.0):
        timeless = Message(b'{"n": 1}', content_type="application/json", message_id="e0")
        await send(broker.uri, timeless, type_="order.created")
        await until(lambda: shop.runs == ["e0"])

    assert await broker.messages(dead_name(names.group)) == 0


async def test_an_overload_is_shed_by_age_and_what_is_fresh_is_handled(
    broker: Broker, names: Names, shop: Shop
) -> None:
    given: dict[str, Any] = {"order": "lifo", "concurrency": 4, "window": 50, "max_age": 60.0}
    await bind(broker, names.group, shop, **given)
    aged = [event(number, age=0 if number >= 150 else 600) for number in range(200)]
    await send(broker.uri, *map(to_message, aged), type_="order.created")
    shop.gate.set()
    async with consuming(broker.uri, names.group, shop.charge, **given):
        letters = await dead_letters(broker.uri, names.group, 150, within=30)
        await until(lambda: len(shop.runs) == 50)

    assert sorted(shop.runs) == sorted(ids(*range(150, 200)))
    assert {letter.reason for letter in letters} == {Reason.TOO_OLD}
    assert {letter.id for letter in letters} == set(ids(*range(150)))


@pytest.mark.parametrize("order", ["any", "fifo", "key", "priority", "lifo"])
async def test_an_event_that_has_no_id_keeps_the_one_it_was_given_through_its_attempts(
    broker: Broker, names: Names, order: str
) -> None:
    tried: list[tuple[str, int]] = []

    @handler("order.created", retry=RetryPolicy.delays("50ms", attempts=3))
    async def charge(event: Event, ctx: Context) -> None:
        tried.append((event.id, ctx.attempt))
        raise ValueError("always")

    async with consuming(broker.uri, names.group, charge, order=order, partitions=1):
        await send(broker.uri, Message(b'{"n": 1}'), type_="order.created")
        (letter,) = await dead_letters(broker.uri, names.group, 1)

    assert letter.reason == Reason.ATTEMPTS_SPENT
    assert tried == [(letter.id, attempt) for attempt in (1, 2, 3)]
