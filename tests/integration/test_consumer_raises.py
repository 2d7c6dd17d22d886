"""Every way to raise, from async and plain handlers, on a real broker: docs/handling.md's table."""

import asyncio

import pytest

from common.deadletter import TEXT_BYTES, TRACEBACK_BYTES
from common.topology import dead_name
from support.broker import Broker
from support.names import Names
from support.raising import ROWS, TIMEOUT, Row
from support.services import consuming, dead_letters, emit
from support.waiting import until
from tidings import Context, handler


@pytest.mark.fault("C22")
@pytest.mark.parametrize("row", ROWS, ids=[row.said for row in ROWS])
@pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "plain"])
async def test_whatever_a_handler_raises_the_consumer_goes_on(
    broker: Broker, names: Names, row: Row, *, asynchronous: bool
) -> None:
    runs, goods = list[int](), list[str]()
    again = not row.reason

    @handler("bad", attempts=1, timeout=TIMEOUT)
    async def bad(ctx: Context) -> None:
        runs.append(ctx.attempt)
        if len(runs) == 1 or not again:
            if row.asynchronous is None:
                row.plain()
            else:
                await row.asynchronous()

    @handler("bad", attempts=1, timeout=TIMEOUT)
    def bad_plain(ctx: Context) -> None:
        runs.append(ctx.attempt)
        if len(runs) == 1 or not again:
            row.plain()

    @handler("good")
    async def good() -> None:
        goods.append("still here")

    chosen = bad if asynchronous else bad_plain
    async with consuming(broker.uri, names.group, chosen, good):
        await emit(broker.uri, "bad", {})
        if again:
            await until(lambda: len(runs) == 2)
        else:
            (letter,) = await dead_letters(broker.uri, names.group, 1)
            assert (letter.reason, letter.error) == (row.reason, row.error)
            assert letter.message.startswith(row.message)
            assert len(letter.message.encode()) <= TEXT_BYTES
            assert 0 < len(letter.traceback.encode()) <= TRACEBACK_BYTES or _is_ours(row)
        await emit(broker.uri, "good", {}, prefix="g")
        await until(lambda: goods == ["still here"])

    assert set(runs) == {1}, "the first attempt was also the last"
    assert await broker.messages(names.group) == 0
    assert await broker.messages(dead_name(names.group)) == 0


def _is_ours(row: Row) -> bool:
    """A timeout of ours has no traceback: the handler raised nothing."""
    return row.said == "nothing, its time is over"


@pytest.mark.fault("C22")
async def test_what_ends_a_handler_leaves_its_neighbours_alone(
    broker: Broker, names: Names
) -> None:
    """While others run, none of the rows ends, cancels or repeats them."""
    finished: list[int] = []
    go = asyncio.Event()

    @handler("slow", attempts=1, timeout=30)
    async def slow(ctx: Context) -> None:
        await go.wait()
        finished.append(ctx.attempt)

    @handler("bad", attempts=1, timeout=TIMEOUT)
    async def bad(number: int) -> None:
        row = ROWS[number]
        await (row.asynchronous() if row.asynchronous else _called(row))

    dead = [number for number, row in enumerate(ROWS) if row.reason]
    async with consuming(broker.uri, names.group, slow, bad):
        await emit(broker.uri, "slow", {}, {}, {}, prefix="s")
        await emit(broker.uri, "bad", *dead)
        await dead_letters(broker.uri, names.group, len(dead))
        assert finished == []
        go.set()
        await until(lambda: finished == [1, 1, 1])


async def _called(row: Row) -> object:
    return row.plain()
