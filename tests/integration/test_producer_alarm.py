"""A broker that is out of memory: the relay waits, accepting goes on."""

from pathlib import Path

import pytest

from support.alarms import memory_alarm
from support.broker import OwnBroker
from support.copies import arrived_in
from support.crashes import waiting
from support.producing import FAST, bind, producing, value
from support.waiting import until


@pytest.mark.serial
@pytest.mark.harms
@pytest.mark.fault("P7")
async def test_while_the_broker_blocks_publishers_events_are_accepted_and_sent_in_order_afterwards(
    own_broker: OwnBroker, tmp_path: Path
) -> None:
    blocked = 'tidings_broker_blocked{role="publish"}'
    await bind(own_broker.uri, "ticks", "fast")

    outbox = f"sqlite:///{tmp_path / 'outbox.db'}"
    async with producing(own_broker.uri, outbox=outbox) as main:
        await until(lambda: value(main, "tidings_publish_confirm_seconds_count"), what="it sends")
        async with memory_alarm(own_broker):
            await until(lambda: value(main, blocked), what="it shows that it is blocked")
            await until(lambda: len(waiting(tmp_path)) >= 50, what="50 wait on disk")
            assert main.health.ready
            assert value(main, blocked) == 1
        await until(lambda: value(main, blocked) == 0, within=30, what="it is blocked no more")
        await until(lambda: value(main, "tidings_outbox_depth") <= 1, within=30, what="all sent")

    assert waiting(tmp_path) == []
    arrived = (await arrived_in(own_broker, "ticks")).values()
    numbers = [number for number, _ in arrived]
    missed = value(main, f'tidings_ticks_missed_total{{source="{FAST[0].name}"}}')
    assert len(numbers) >= 50
    assert numbers[-1] - numbers[0] + 1 - len(numbers) <= missed
    assert numbers == sorted(numbers)
