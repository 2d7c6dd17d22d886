"""A producer and a consumer under load, whose connections are cut again and again."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from consumer.retrying import RetryPolicy
from producer.facade import Producer
from support.broker import Broker
from support.proxy import proxied
from support.services import consuming
from support.waiting import until
from tidings import Context, Event, handler

CALLERS = 20
MOST_AHEAD = 5_000
"""Confirmed events that are not handled yet: then callers wait. Publishing is the faster part, and
what piles up would have to be handled after the last cut, which takes minutes."""
AGAIN_SECONDS = 5.0
"""Consuming again within this time after each cut: what the design promises."""


@dataclass
class Ledger:
    """What happened: every confirmed event must be among the handled ones."""

    confirmed: set[int] = field(default_factory=set)
    handled: Counter[int] = field(default_factory=Counter)
    cuts: int = 0

    @property
    def missing(self) -> set[int]:
        """Confirmed and not handled."""
        return self.confirmed - set(self.handled)


async def cut_connections(broker: Broker, group: str, *, times: int, seed: int) -> Ledger:
    """Cut the producer's or the consumer's connections `times` times, in a random order.

    One event in ten fails the first time, so that the consumer publishes too.
    """
    ledger = Ledger()
    dice = random.Random(seed)
    stop = asyncio.Event()

    @handler("order.created", retry=RetryPolicy(first_delay=0.05))
    async def charge(event: Event, ctx: Context) -> None:
        if event.data % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once")
        ledger.handled[event.data] += 1

    async def call(first: int, producer: Producer) -> None:
        number = first
        while not stop.is_set():
            await producer.publish("order.created", number, id=str(number), timeout=60)
            ledger.confirmed.add(number)
            number += CALLERS
            await until(
                lambda: len(ledger.confirmed) - len(ledger.handled) < MOST_AHEAD,
                within=60,
                what="the consumer keeps up",
            )

    async with (
        proxied(broker.uri) as before_producer,
        proxied(broker.uri) as before_consumer,
        consuming(before_consumer.uri, group, charge) as main,
        Producer(before_producer.uri) as producer,
    ):
        callers = [asyncio.create_task(call(first, producer)) for first in range(CALLERS)]
        for _ in range(times):
            goal = ledger.handled.total() + dice.randrange(1, 200)
            await until(lambda goal=goal: ledger.handled.total() >= goal, within=30)  # type: ignore[misc] # a default binds it now
            dice.choice((before_producer, before_consumer)).abort()
            ledger.cuts += 1
            await until(lambda: main.health.ready, within=AGAIN_SECONDS, what="consuming again")
        stop.set()
        await asyncio.gather(*callers)
        await until(lambda: not ledger.missing, within=60, what="every confirmed event is handled")
    return ledger
