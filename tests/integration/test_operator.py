"""A person clears up: thousands of dead letters of two causes, of which one has been mended."""

import asyncio
import signal
from collections import Counter

from pydantic import BaseModel

from common.topology import dead_name
from consumer.main import Main
from producer.facade import Producer
from support.broker import Broker
from support.command import Said, running, tidings
from support.names import Names
from support.processes import sample_in
from support.services import consuming, drained
from support.waiting import until
from tidings import Event, handler

OF_EACH = 1_000
HALF_WAY = 300
DUPLICATES = 'tidings_consumed_total{outcome="duplicate",type="unknown"}'


class Order(BaseModel):
    amount: int


@handler("order.created", attempts=1)
async def charge(order: Order) -> None:
    """Expects what senders do not send."""


@handler("mail.sent", attempts=1)
async def post() -> None:
    raise ConnectionError("the mail server is away")


async def two_thousand_die(broker: Broker, group: str) -> None:
    """Their amounts are texts, as only the mended handler takes them."""
    async with (
        consuming(broker.uri, group, charge, post, concurrency=200),
        Producer(broker.uri, source="shop") as producer,
    ):
        await asyncio.gather(
            *(
                producer.publish(type_, {"amount": f"{number} EUR"}, id=f"{type_}-{number}")
                for number in range(OF_EACH)
                for type_ in ("order.created", "mail.sent")
            )
        )
        await until(lambda: _holds(broker, dead_name(group), 2 * OF_EACH), within=60)


def kinds_of(said: Said) -> set[tuple[str, str, str]]:
    """Read how many there are of each reason and type from the summary that a person sees."""
    rows = [line.split()[:3] for line in said.out.splitlines()]
    return {(row[0], row[1], row[2]) for row in rows if len(row) == 3 and row[0].isdecimal()}


async def test_one_cause_of_two_thousand_dead_letters_is_replayed_stopped_and_gone_on_with(
    broker: Broker, names: Names
) -> None:
    group, dead = names.group, dead_name(names.group)
    runs: Counter[str] = Counter()

    @handler("order.created", attempts=1)
    async def charge_mended(event: Event) -> None:
        assert int(event.data["amount"].removesuffix(" EUR")) >= 0
        runs[event.id] += 1

    @handler("mail.sent", attempts=1)
    async def post_again(event: Event) -> None:
        runs[event.id] += 1

    await two_thousand_die(broker, group)

    # When the operator looks at what has died of what,
    listed = await tidings(broker.uri, "dead", "list", "--group", group)
    assert kinds_of(listed) == {
        ("1000", "invalid_payload", "order.created"),
        ("1000", "attempts_spent", "mail.sent"),
        ("2000", "dead", "letters"),
    }

    async with consuming(broker.uri, group, charge_mended, post_again) as main:
        # mends one cause, replays it, and stops half way,
        replay = ("dead", "replay", "--reason", "invalid_payload", "--group", group)
        async with running(broker.uri, *replay, "--rate", "400") as first:
            await until(lambda: runs.total() >= HALF_WAY, within=30, what="some are handled")
            first.process.send_signal(signal.SIGINT)
            stopped = await first.end()
        assert stopped.code == 130
        assert "goes on from here" in stopped.err
        left = await tidings(broker.uri, "dead", "list", "--json", "--group", group)
        waiting = {one["id"] for one in left.objects if one["reason"] == "invalid_payload"}
        assert waiting
        await until(lambda: len(runs) == OF_EACH - len(waiting), what="what was sent is handled")
        assert not waiting & runs.keys(), "neither lost nor sent and kept"

        # and goes on,
        again = await tidings(broker.uri, *replay, "--rate", "0")
        assert again.code == 0
        assert f"replayed {len(waiting)} of {OF_EACH + len(waiting)} dead letters" in again.err
        await until(lambda: len(runs) == OF_EACH, within=30)
        await until(lambda: _holds(broker, group, 0))

    # then each is handled once, none came twice, and the other cause is as it was.
    assert runs == {f"order.created-{number}": 1 for number in range(OF_EACH)}
    assert _duplicates(main) == 0
    others = await drained(broker.uri, dead, OF_EACH)
    assert await broker.messages(dead) == 0
    assert {str(one.message.message_id) for one in others} == {
        f"mail.sent-{number}" for number in range(OF_EACH)
    }
    assert {one.message.headers["tidings-reason"] for one in others} == {"attempts_spent"}
    assert not any("tidings-replays" in one.message.headers for one in others)


def _duplicates(main: Main) -> float:
    return sample_in(main.metrics.render()[0].decode(), DUPLICATES)


async def _holds(broker: Broker, queue: str, count: int) -> bool:
    return await broker.messages(queue) == count
