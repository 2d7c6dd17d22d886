"""Plain handlers that do not come back: the process says that only a new one helps."""

import asyncio
import signal
import threading
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from consumer.main import Main
from support.broker import Broker
from support.names import Names
from support.processes import service
from support.services import consuming, emit
from support.waiting import until
from tidings import Event, RetryPolicy, handler

HANGING = """
import threading
from tidings import handler

@handler("order.created", timeout="100ms")
def charge() -> None:
    threading.Event().wait()
"""


async def livez(main: Main) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{main.probes.port}/livez", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


@pytest.mark.fault("C21")
async def test_when_all_threads_hang_liveness_fails_and_is_well_when_they_come_back(
    broker: Broker, names: Names
) -> None:
    end, handled = threading.Event(), set[str]()

    @handler("order.created", timeout="100ms", retry=RetryPolicy(first_delay=0.05))
    def charge(event: Event) -> None:
        end.wait()
        handled.add(event.id)

    @handler("mail.sent")
    async def post(event: Event) -> None:
        handled.add(event.id)

    async with consuming(broker.uri, names.group, charge, post, concurrency=2) as main:
        assert await livez(main) == (200, "alive\n")
        await emit(broker.uri, "order.created", 1, 2)
        await until(lambda: main.health.failures)

        status, body = await livez(main)
        assert status == 503
        assert body.startswith("threads: none is left for plain handlers, all 2 hang: ")
        assert "charge (2)" in body
        assert "tidings_handlers_abandoned 2.0" in main.metrics.render()[0].decode()

        end.set()
        await until(lambda: not main.health.failures)
        assert await livez(main) == (200, "alive\n")
        await emit(broker.uri, "mail.sent", 1, prefix="m")
        await until(lambda: handled == {"e0", "e1", "m0"})


@pytest.mark.fault("C21", "C30")
async def test_threads_that_hang_do_not_keep_a_consumer_from_stopping(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(HANGING)
    where = {"AMQP_URI": broker.uri, "GROUP": names.group, "CONCURRENCY": "1"}
    async with service("consumer", "shop", folder=tmp_path, **where) as one:
        await one.says("subscribed")
        await emit(broker.uri, "order.created", 1)
        await one.says('"event":"threads_spent"')
        assert '"handlers":["shop.charge (1)"]' in one.output
        assert "in charge" in one.output

        one.signal(signal.SIGTERM)

        assert await one.exit_code() == 0
        assert '"event":"threads_abandoned"' in one.output


@pytest.mark.fault("C39")
async def test_a_timeout_too_long_for_the_broker_ends_the_start_with_78_and_one_line(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.py").write_text(HANGING)
    where = {"AMQP_URI": "amqp://127.0.0.1:1", "CONSUMER_TIMEOUT": "30s"}
    async with service("consumer", "shop", folder=tmp_path, **where) as one:
        assert await one.exit_code() == 78
        (line,) = one.output.splitlines()

    assert line.startswith("tidings: the timeout of 0.1s of @handler('order.created') at ")
    assert "consumer timeout of 30s" in line
