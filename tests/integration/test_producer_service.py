"""The producer service, as `tidings producer` runs it: ticks, outages, draining, refusals."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import structlog

from common.envelope import to_event
from common.errors import EXIT_CONFIG, EXIT_OK, AccessRefused
from common.event import Event
from common.message import Delivery
from common.topology import EVENTS, UNROUTED, Binding, Queue, Topology, events_topology
from producer.main import Main
from producer.schedule import Schedule, Tick
from producer.settings import ProducerSettings
from producer.source import Source, build_sources, declarations_of, source
from producer.ticker import TICKER
from support.broker import Broker, OwnBroker
from support.services import broker_connection, drained
from support.waiting import until

ROOT = Path(__file__).parents[2]


@source(every="20ms")
async def fast(tick: Tick) -> Event:
    return Event("fast", tick.number)


FAST = build_sources(declarations_of(fast))


@asynccontextmanager
async def producing(
    uri: str, *sources: Source, ready: bool = True, **given: Any
) -> AsyncIterator[Main]:
    """Run a producer; at the end it is stopped as by SIGTERM, and its errors are raised."""
    settings = ProducerSettings(AMQP_URI=uri, probes_port=0, **given)
    main = Main(settings, sources=sources or FAST)
    stop = asyncio.Event()
    running = asyncio.create_task(main.run(stop))
    try:
        if ready:
            await until(lambda: main.health.ready or running.done(), what="the producer is ready")
        yield main
    finally:
        stop.set()
        await running


async def bind(uri: str, queue: str, key: str) -> None:
    wanted = Topology(queues=(Queue(queue),), bindings=(Binding(EVENTS, queue, key),))
    async with broker_connection(uri) as connection:
        await connection.ensure(events_topology() + wanted, "declare")


async def read(uri: str, queue: str, count: int, *, within: float = 15.0) -> list[Event]:
    found = []
    for one in await drained(uri, queue, count, within=within):
        event = to_event(
            one.message, routing_key=one.routing_key, exchange=one.exchange, fallback_id=""
        )
        assert isinstance(event, Event)
        found.append(event)
    return found


async def ids_in(uri: str, queue: str, count: int) -> set[str]:
    """Take messages until `count` different ids were among them; copies are allowed."""
    ids: set[str] = set()

    def take(delivery: Delivery) -> None:
        ids.add(str(delivery.message.message_id))
        delivery.ack()

    async with broker_connection(uri) as connection:
        subscription = await connection.subscribe(queue, prefetch=100, on_delivery=take)
        await until(lambda: len(ids) >= count, within=15, what=f"{count} ids from {queue}")
        await subscription.close()
    return ids


def with_wrong_password(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}").geturl()


def value(main: Main, sample: str) -> float:
    text, _ = main.metrics.render()
    return next(
        (
            float(line.rpartition(" ")[2])
            for line in text.decode().splitlines()
            if line.startswith(f"{sample} ")
        ),
        0.0,
    )


async def test_the_built_in_ticker_reaches_a_bound_queue(broker: Broker) -> None:
    await bind(broker.uri, "ticks", "tidings.tick")

    async with producing(broker.uri, TICKER):
        first, second = await read(broker.uri, "ticks", 2)

    assert first.data["name"] == "ticker"
    assert second.data["tick"] > first.data["tick"]
    assert first.extensions["sequence"] == f"{first.data['tick']:020d}"
    assert first.time is not None
    assert first.time.timestamp() == first.data["tick"]


async def test_two_replicas_make_the_same_events(broker: Broker) -> None:
    await bind(broker.uri, "ticks", "fast")

    async with producing(broker.uri), producing(broker.uri):
        deliveries = await drained(broker.uri, "ticks", 40)

    bodies = [one.message.body for one in deliveries]
    ids = {json.loads(body)["id"] for body in bodies}
    assert len(set(bodies)) == len(ids)
    assert len(ids) < len(bodies), "the replicas ran side by side and had no tick in common"


async def test_what_is_confirmed_is_counted_and_nothing_is_left_at_the_end(broker: Broker) -> None:
    async with producing(broker.uri) as main:
        await until(lambda: value(main, 'tidings_published_total{outcome="confirmed",type="fast"}'))

    confirmed = value(main, 'tidings_published_total{outcome="confirmed",type="fast"}')
    assert value(main, "tidings_publish_confirm_seconds_count") == confirmed
    assert value(main, "tidings_outbox_depth") == 0
    assert await broker.messages(UNROUTED) == confirmed


async def test_the_probes_tell_ready_and_the_metrics(broker: Broker) -> None:
    async with producing(broker.uri) as main:
        status, body = await get(main, "/readyz")
        assert (status, body) == (200, "ready\n")
        status, body = await get(main, "/metrics")
        assert 'tidings_ticks_missed_total{source="' in body


async def test_with_the_broker_away_the_producer_is_alive_and_not_ready() -> None:
    async with producing(
        "amqp://guest:guest@127.0.0.1:1/", ready=False, drain_timeout="1ms"
    ) as main:
        await until(lambda: main.probes.port)
        assert await get(main, "/livez") == (200, "alive\n")
        status, body = await get(main, "/readyz")

    assert status == 503
    assert body.startswith("publish: ")


async def test_what_cannot_be_sent_before_the_deadline_is_told_in_one_line() -> None:
    with structlog.testing.capture_logs() as logs:
        async with producing(
            "amqp://guest:guest@127.0.0.1:1/", ready=False, drain_timeout="100ms"
        ) as main:
            await until(lambda: value(main, "tidings_outbox_depth") >= 3)

    (unsent,) = [line for line in logs if line["event"] == "unsent"]
    assert unsent["events"] >= 3
    assert unsent["log_level"] == "error"


async def test_a_refused_password_ends_the_producer(broker: Broker) -> None:
    wrong = with_wrong_password(broker.uri)

    with pytest.raises(ExceptionGroup) as caught:
        async with producing(wrong):
            pass

    assert caught.group_contains(AccessRefused, match="refused the user or the password")


async def test_a_source_that_does_not_stop_is_named(broker: Broker) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                asyncio.get_running_loop().call_later(0.3, release.set)

    one = Source(stubborn, Schedule.every("10ms"), "stubborn", "here:1")
    with structlog.testing.capture_logs() as logs:
        async with producing(broker.uri, one, *FAST, drain_timeout="200ms"):
            await read(broker.uri, UNROUTED, 3)

    assert [line["task"] for line in logs if line["event"] == "source_does_not_stop"] == [
        "source stubborn"
    ]


# --- outages ------------------------------------------------------------------------------------


@pytest.mark.serial
@pytest.mark.harms
async def test_a_producer_that_starts_before_its_broker_publishes_everything_in_order_afterwards(
    own_broker: OwnBroker,
) -> None:
    await bind(own_broker.uri, "ticks", "fast")
    await own_broker.stop()

    async with producing(own_broker.uri, ready=False) as main:
        await until(lambda: value(main, "tidings_outbox_depth") >= 100, what="100 wait")
        await own_broker.start()
        stored = await read(own_broker.uri, "ticks", 100, within=30)

    numbers = [event.data for event in stored]
    assert numbers == sorted(set(numbers))
    # No tick between the first and the last is missing, but for those that were late and counted.
    missed = value(main, f'tidings_ticks_missed_total{{source="{FAST[0].name}"}}')
    assert numbers[99] - numbers[0] - 99 <= missed


@pytest.mark.serial
@pytest.mark.harms
async def test_a_broker_that_dies_under_load_loses_no_tick(own_broker: OwnBroker) -> None:
    """Killed, not stopped: confirms are lost with it. Duplicates have the same id."""
    await bind(own_broker.uri, "ticks", "fast")

    async with producing(own_broker.uri) as main:
        await until(lambda: value(main, "tidings_publish_confirm_seconds_count") >= 50)
        await own_broker.kill()
        await until(lambda: value(main, "tidings_outbox_depth") >= 50, what="50 wait")
        await own_broker.start()
        await until(lambda: main.health.ready, within=30, what="ready again")
        # A queue that has no leader yet answers nothing, which is noticed after 10 s.
        await until(lambda: value(main, "tidings_outbox_depth") <= 1, within=30, what="all sent")

    confirmed = int(value(main, 'tidings_published_total{outcome="confirmed",type="fast"}'))
    assert len(await ids_in(own_broker.uri, "ticks", confirmed)) == confirmed


# --- the process --------------------------------------------------------------------------------


@asynccontextmanager
async def process(
    uri: str, *arguments: str, folder: Path, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m producer` as a user does, in a folder of theirs."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import sys; sys.path[0] = {str(ROOT)!r}; "
        f"import runpy; sys.argv = ['producer', *{arguments!r}]; "
        "runpy.run_module('producer', run_name='__main__')",
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "AMQP_URI": uri,
            "TIDINGS_PROBES_PORT": "0",
            "TIDINGS_LOG_FORMAT": "json",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def test_sigterm_ends_the_process_in_good_order(broker: Broker, tmp_path: Path) -> None:
    async with process(broker.uri, folder=tmp_path) as running:
        assert running.stdout is not None
        hello = json.loads(await running.stdout.readline())
        connected = json.loads(await running.stdout.readline())
        running.send_signal(signal.SIGTERM)
        output, errors = await running.communicate()

    assert (hello["event"], hello["outbox"]) == ("producer_started", "memory (10000 events)")
    assert hello["sources"][0].startswith("ticker (every 1s), ")
    assert broker.uri not in json.dumps(hello)
    assert connected["event"] == "connected"
    assert json.loads(output.splitlines()[-1])["event"] == "producer_stopped"
    assert errors == b""
    assert running.returncode == EXIT_OK


async def test_a_source_of_the_users_own_folder_runs_in_the_process(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from common.event import Event\n"
        "from producer.source import source\n"
        "@source(every='50ms')\n"
        "def hello():\n"
        "    return Event('hello', {'from': 'mine'})\n"
    )
    await bind(broker.uri, "hellos", "#")

    async with process(broker.uri, "mine", folder=tmp_path):
        first, *_ = await read(broker.uri, "hellos", 1)

    assert (first.type, first.data) == ("hello", {"from": "mine"})


@pytest.mark.parametrize(
    ("arguments", "environment", "line"),
    [
        (["nowhere"], {}, "tidings: no module named 'nowhere'"),
        ([], {"TIDINGS_OUTBOX": "postgres"}, "tidings: TIDINGS_OUTBOX: 'memory' is the only"),
        ([], {"TIDINGS_SORCE": "x"}, "tidings: TIDINGS_SORCE is no setting of Tidings; did you"),
        ([], {"AMQP_URI": ""}, "tidings: AMQP_URI is not set"),
    ],
)
async def test_a_wrong_start_is_one_line_and_exit_code_78(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], line: str
) -> None:
    uri = environment.pop("AMQP_URI", "amqp://guest:guest@127.0.0.1:1/")
    async with process(uri, *arguments, folder=tmp_path, **environment) as running:
        output, errors = await running.communicate()

    assert errors.decode().startswith(line)
    assert len(errors.splitlines()) == 1
    assert output == b""
    assert running.returncode == EXIT_CONFIG


async def test_a_wrong_password_is_one_line_and_exit_code_78(
    broker: Broker, tmp_path: Path
) -> None:
    wrong = with_wrong_password(broker.uri)
    async with process(wrong, folder=tmp_path) as running:
        _, errors = await running.communicate()

    lines = [line for line in errors.decode().splitlines() if line.startswith("tidings: ")]
    assert len(lines) == 1
    assert "refused the user or the password" in lines[0]
    assert running.returncode == EXIT_CONFIG


async def get(main: Main, path: str) -> tuple[int, str]:
    """Ask the producer's own probes server."""

    def ask() -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{main.probes.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(ask)
