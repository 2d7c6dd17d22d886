"""What arrived, and how often: ids may come twice, and then as equal bytes."""

from collections import defaultdict
from typing import Any

import orjson

from support.broker import Broker
from support.services import drained

Arrived = dict[str, tuple[Any, int]]
"""By id: the data of the event, and how often it came. In the order of the first copies."""


async def arrived_in(broker: Broker, queue: str) -> Arrived:
    """Take all there is out of a queue."""
    bodies: defaultdict[str, list[bytes]] = defaultdict(list)
    for one in await drained(broker.uri, queue, await broker.messages(queue), within=60):
        bodies[str(one.message.message_id)].append(one.message.body)
    for identity, found in bodies.items():
        assert len(set(found)) == 1, f"copies of {identity} differ"
    return {
        identity: (orjson.loads(found[0])["data"], len(found)) for identity, found in bodies.items()
    }


async def copies_in(broker: Broker, queue: str) -> dict[str, int]:
    """Take all there is, events `e<number>` that carry their number: how often each came."""
    arrived = await arrived_in(broker, queue)
    assert all(identity == f"e{data}" for identity, (data, _) in arrived.items())
    return {identity: times for identity, (_, times) in arrived.items()}
