"""A queue `q` behind an exchange `q`, for the contract of the broker's door."""

from common.broker import Connection, Subscription
from common.message import Delivery, Message, Publishing
from common.topology import Binding, Exchange, Queue, Topology
from support.waiting import until


def queue_topology(name: str, *arguments: tuple[str, str | int]) -> Topology:
    """A queue behind an exchange of the same name, without an alternate exchange."""
    return Topology(
        exchanges=(Exchange(name, "topic"),),
        queues=(Queue(name, (("x-queue-type", "quorum"), *arguments)),),
        bindings=(Binding(name, name, "kept.#"),),
    )


async def take(
    connection: Connection, count: int, *, prefetch: int = 100
) -> tuple[list[Delivery], Subscription]:
    """Consume `q` until `count` deliveries have arrived."""
    taken: list[Delivery] = []
    subscription = await connection.subscribe("q", prefetch=prefetch, on_delivery=taken.append)
    await until(lambda: len(taken) >= count, what=f"{count} deliveries")
    return taken, subscription


async def fill(connection: Connection, count: int) -> None:
    """Publish the numbers from 0 on."""
    for number in range(count):
        await connection.publish(Publishing("q", "kept.a", Message(b"%d" % number)))
