"""A broker that stops answering without closing a socket, for longer than anybody should wait."""

import asyncio

import pytest

from common.errors import ConfirmUnknown
from producer.facade import Producer
from support.broker import OwnBroker
from support.names import Names
from support.services import consuming
from support.waiting import until
from tidings import Event, handler

FROZEN_SECONDS = 40
NOTICED_SECONDS = 25


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.timeout(300)
@pytest.mark.fault("P4", "C44")
async def test_a_broker_frozen_for_forty_seconds_is_noticed_and_taken_up_again(
    own_broker: OwnBroker, names: Names
) -> None:
    seen: list[str] = []

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    async with (
        consuming(own_broker.uri, names.group, charge) as main,
        Producer(own_broker.uri) as producer,
    ):
        await producer.publish("order.created", id="before")
        await until(lambda: seen == ["before"])
        await own_broker.pause()
        # Given a broker frozen for 40 s: the fault itself, not a wait for something.
        frozen = asyncio.create_task(asyncio.sleep(FROZEN_SECONDS))
        waiting = asyncio.create_task(producer.publish("order.created", id="during", timeout=20))
        await until(lambda: not main.health.ready, within=NOTICED_SECONDS, what="it is noticed")
        with pytest.raises(ConfirmUnknown):
            await waiting
        await frozen
        await own_broker.unpause()
        await until(lambda: main.health.ready, within=30, what="consuming again")
        await producer.publish("order.created", id="during")
        await producer.publish("order.created", id="after")
        await until(lambda: "after" in seen)

    assert seen.count("during") == 1
