"""Two producers of one TIDINGS_SOURCE: one makes the ticks, and another goes on when it ends."""

import signal
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from common.errors import EXIT_OK
from producer.lease import lease_name
from producer.main import Main
from producer.source import build_sources, declarations_of
from support.broker import Broker
from support.copies import Arrived, arrived_in
from support.processes import Service, service
from support.producing import bind, producing, value
from support.proxy import proxied
from support.waiting import until
from tidings import Event, Tick, source

NAME = "grid"
LEASE_TAKEN = '"lease_taken"'
LEADS = f'tidings_source_leads{{source="{NAME}"}}'
STORED = f'tidings_published_total{{outcome="confirmed",type="{NAME}"}}'

MODULE = """
from tidings import Event, Tick, source

@source(every="20ms", name="grid", missed="catch_up(1000)")
async def grid(tick: Tick) -> Event:
    return Event("grid", tick.number)
"""


@source(every="20ms", name=NAME, missed="catch_up(1000)")
async def grid(tick: Tick) -> Event:
    return Event(NAME, tick.number)


GRID = build_sources(declarations_of(grid))


async def none_is_missing(broker: Broker, *, twice: bool) -> Arrived:
    """Take all ticks: without copies they are a piece of the grid without a hole."""
    arrived = await arrived_in(broker, NAME)
    numbers = sorted(number for number, _ in arrived.values())
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert any(times > 1 for _, times in arrived.values()) == twice
    return arrived


@pytest.mark.fault("P16")
async def test_of_two_replicas_one_ticks_and_the_other_goes_on_where_it_stopped(
    broker: Broker, tmp_path: Path
) -> None:
    await bind(broker.uri, NAME, NAME)
    async with AsyncExitStack() as until_the_end:
        async with _replica(broker.uri, tmp_path, "first") as first:
            await until(lambda: value(first, LEADS), what="the first leads")
            second = await until_the_end.enter_async_context(
                _replica(broker.uri, tmp_path, "second")
            )
            goal = value(first, STORED) + 50
            await until(lambda: value(first, STORED) >= goal, what="the first ticks")
            assert await broker.queues() >= {lease_name("shop", NAME)}
            assert value(second, LEADS) == value(second, STORED) == 0
        await until(lambda: value(second, LEADS), what="the second leads")
        await until(lambda: value(second, STORED) >= 50, what="the second ticks")

    await none_is_missing(broker, twice=True)  # those of the last minute are made again


@pytest.mark.fault("P16")
async def test_the_ticks_of_a_killed_replica_are_made_by_the_other(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    await bind(broker.uri, NAME, NAME)

    async with (
        _process(broker.uri, tmp_path, "first") as first,
        _process(broker.uri, tmp_path, "second") as second,
    ):
        await until(lambda: LEASE_TAKEN in first.output + second.output, what="one leads")
        leader, other = (first, second) if LEASE_TAKEN in first.output else (second, first)
        await other.says('"lease_held_elsewhere"')
        goal = await broker.messages(NAME) + 50
        await until(lambda: _has(broker, goal), what="it ticks")
        assert await other.metric(STORED) == 0
        leader.kill()
        await other.says(LEASE_TAKEN)
        goal = await broker.messages(NAME) + 50
        await until(lambda: _has(broker, goal), what="the other ticks")
        other.signal(signal.SIGTERM)
        assert await other.exit_code() == EXIT_OK

    await none_is_missing(broker, twice=True)


@pytest.mark.fault("P16", "P18")
async def test_without_a_broker_each_replica_ticks_and_their_copies_are_equal(
    broker: Broker, tmp_path: Path
) -> None:
    """The broker cannot say who else does."""
    await bind(broker.uri, NAME, NAME)
    async with proxied(broker.uri) as proxy:
        proxy.down()
        async with (
            _replica(proxy.uri, tmp_path, "first", ready=False) as first,
            _replica(proxy.uri, tmp_path, "second", ready=False) as second,
        ):
            for one in (first, second):
                await until(lambda one=one: _held(one) >= 50, what="50 wait")  # type: ignore[misc] # a default binds it now
            proxy.up()
            for one in (first, second):
                await until(lambda one=one: one.health.ready, what="ready")  # type: ignore[misc] # as above
            await until(lambda: value(first, LEADS) + value(second, LEADS) == 1, what="one leads")
            await until(lambda: min(_held(first), _held(second)) == 0, what="one has sent all")

    await none_is_missing(broker, twice=True)


def _replica(
    uri: str, folder: Path, name: str, *, ready: bool = True
) -> AbstractAsyncContextManager[Main]:
    file = folder / f"{name}.db"
    return producing(uri, *GRID, ready=ready, source="shop", outbox=f"sqlite:///{file}")


def _process(uri: str, folder: Path, name: str) -> AbstractAsyncContextManager[Service]:
    return service(
        *("producer", "mine"),
        folder=folder,
        name=name,
        AMQP_URI=uri,
        SOURCE="shop",
        OUTBOX=f"sqlite:///{name}.db",
    )


def _held(main: Main) -> float:
    return value(main, "tidings_outbox_depth")


async def _has(broker: Broker, count: int) -> bool:
    return await broker.messages(NAME) >= count
