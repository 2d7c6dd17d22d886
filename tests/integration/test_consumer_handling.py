"""Handlers that work: parameters, wildcards, threads, the lifespan, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from common.event import Event
from support.broker import Broker
from support.names import Names
from support.services import consuming, emit
from support.waiting import until
from tidings import Context, handler, lifespan


class Order(BaseModel):
    order: int


async def test_an_event_is_handled_and_leaves_the_queue(broker: Broker, names: Names) -> None:
    seen: list[Event] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event)

    async with consuming(broker.uri, names.group, charge):
        (sent,) = await emit(broker.uri, "order.created", {"order": 7})
        await until(lambda: seen)

    assert [(one.id, one.data, one.time) for one in seen] == [("e0", {"order": 7}, sent.time)]
    assert await broker.messages(names.group) == 0


async def test_parameters_come_by_annotation(broker: Broker, names: Names) -> None:
    seen: list[tuple[Any, ...]] = []

    @dataclass
    class Line:
        sku: str

    @handler("model")
    async def model(order: Order, ctx: Context, event: Event) -> None:
        seen.append((order, ctx.attempt, ctx.attempts, ctx.group, event.type))

    @handler("data.class")
    async def data_class(line: Line) -> None:
        seen.append((line,))

    @handler("nothing")
    async def nothing() -> None:
        seen.append(())

    async with consuming(broker.uri, names.group, model, data_class, nothing):
        await emit(broker.uri, "model", {"order": 7}, prefix="a")
        await until(lambda: len(seen) == 1)
        await emit(broker.uri, "data.class", {"sku": "x"}, prefix="b")
        await until(lambda: len(seen) == 2)
        await emit(broker.uri, "nothing", None, prefix="c")
        await until(lambda: len(seen) == 3)

    assert seen == [(Order(order=7), 1, 10, names.group, "model"), (Line("x"),), ()]


async def test_plain_functions_run_beside_the_event_loop(broker: Broker, names: Names) -> None:
    """Given a handler that blocks until the loop has done something, it can finish."""
    loop = asyncio.get_running_loop()
    done: list[int] = []

    @handler("sync")
    def blocking(event: Event) -> None:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=5)
        done.append(event.data)

    async with consuming(broker.uri, names.group, blocking):
        await emit(broker.uri, "sync", 1, 2, 3)
        await until(lambda: sorted(done) == [1, 2, 3])


async def test_wildcards_take_what_no_exact_handler_takes(broker: Broker, names: Names) -> None:
    seen: list[tuple[str, str]] = []

    @handler("order.created")
    async def exact(event: Event) -> None:
        seen.append(("exact", event.type))

    @handler("order.#")
    async def wild(event: Event) -> None:
        seen.append(("wild", event.type))

    async with consuming(broker.uri, names.group, exact, wild):
        for number, type_ in enumerate(("order.created", "order.paid", "order")):
            await emit(broker.uri, type_, None, prefix=f"{number}-")
        await until(lambda: len(seen) == 3)

    assert sorted(seen) == [("exact", "order.created"), ("wild", "order"), ("wild", "order.paid")]


async def test_what_the_lifespan_yields_is_the_state_and_it_is_closed_at_the_end(
    broker: Broker, names: Names
) -> None:
    steps: list[str] = []
    states: list[object] = []

    @asynccontextmanager
    async def database() -> AsyncIterator[str]:
        steps.append("open")
        yield "pool"
        steps.append("closed")

    @handler("order.created")
    async def charge(ctx: Context) -> None:
        states.append(ctx.state)
        steps.append("handled")

    async with consuming(broker.uri, names.group, charge, lifespan=lifespan(database)):
        await emit(broker.uri, "order.created", {})
        await until(lambda: states)

    assert (states, steps) == (["pool"], ["open", "handled", "closed"])
