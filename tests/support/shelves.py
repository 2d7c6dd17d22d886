"""Fill the places where messages are set aside, as the consumer would."""

import asyncio
from collections.abc import Iterable

from common.broker import connect
from common.deadletter import DeadLetter
from common.group_topology import group_topology
from common.history import History
from common.message import Confirmed, Delivery, Message, Publishing
from common.topology import dead_name

FIRST_FAILED = 1_700_000_000_123
DIED = 1_700_000_009_456


def letter(
    number: int, *, type_: str = "order.created", reason: str = "attempts_spent", **more: int
) -> tuple[DeadLetter, Message]:
    """Return the dead letter of event `e<number>`, and its message."""
    record = DeadLetter(
        reason=reason,
        id=f"e{number}",
        type=type_,
        source="/shop",
        error="shop.PaymentDown",
        message="no answer from the bank",
        traceback='Traceback\n  File "shop.py", line 3\nPaymentDown: no answer from the bank',
        attempts=3,
        attempt_times_ms=(FIRST_FAILED, DIED),
        first_failed_ms=FIRST_FAILED,
        last_failed_ms=DIED,
        handler="shop.charge",
        host="pod-1",
        history=History(
            attempts=3,
            hop=3,
            first_failed_ms=FIRST_FAILED,
            attempt_times_ms=(FIRST_FAILED, DIED),
            exchange="events",
            routing_key=type_,
            replays=more.get("replays", 0),
        ),
    )
    # Spaces and order of our own: a replay must not write the JSON anew.
    event = f'"type":"{type_}","source":"/shop","id":"e{number}","data":{number}'
    body = f'{{"specversion":"1.0",  {event}}}'
    message = Message(
        body.encode(),
        content_type="application/cloudevents+json",
        message_id=f"e{number}",
        type=type_,
        timestamp=FIRST_FAILED // 1000,
        headers={"traceparent": "00-abc-def-01", **record.headers()},
    )
    return record, message


async def make_group(uri: str, group: str, *types: str) -> None:
    """Declare what a consumer of these event types declares."""
    async with connect(uri, name="a test") as connection:
        await connection.ensure(group_topology(group, types, longest_delay=1), "declare")


async def set_aside(uri: str, group: str, messages: Iterable[Message]) -> None:
    """Make the group and publish dead letters to it."""
    await make_group(uri, group, "order.*")
    async with connect(uri, name="a test") as connection:
        answers = await asyncio.gather(
            *(
                connection.publish(Publishing(dead_name(group), group, message))
                for message in messages
            )
        )
    assert set(answers) == {Confirmed()}


class NoChannel:
    """The channel of a delivery that never was; nothing may be settled on it."""

    def alive(self) -> bool:
        return False

    def ack(self, tag: int) -> bool:
        raise AssertionError(tag)

    def nack(self, tag: int) -> bool:
        raise AssertionError(tag)

    def reject(self, tag: int) -> bool:
        return True


def delivered(message: Message, exchange: str = "g.dead", routing_key: str = "g") -> Delivery:
    """Return a message as it would arrive."""
    return Delivery(message, exchange, routing_key, redelivered=False, tag=1, channel=NoChannel())
