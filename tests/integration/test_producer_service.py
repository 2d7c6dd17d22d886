"""The producer service in the test's own process: ticks, probes, draining."""

import asyncio
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import structlog

from common.errors import (
    AccessRefused,
)
from common.topology import UNROUTED
from producer.main import Main
from producer.source import build_sources, declarations_of, source
from producer.ticker import TICKER
from support.broker import Broker
from support.producing import CONFIRMED, FAST, NOBODY, bind, producing, read, value
from support.waiting import until


def with_wrong_password(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}").geturl()


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


async def test_the_built_in_ticker_reaches_a_bound_queue(broker: Broker) -> None:
    await bind(broker.uri, "ticks", "tidings.tick")

    async with producing(broker.uri, TICKER):
        first, second = await read(broker.uri, "ticks", 2)

    assert first.data["name"] == "ticker"
    assert second.data["tick"] > first.data["tick"]
    assert first.extensions["sequence"] == f"{first.data['tick']:020d}"
    assert first.time is not None
    assert first.time.timestamp() == first.data["tick"]


async def test_what_is_confirmed_is_counted_and_nothing_is_left_at_the_end(broker: Broker) -> None:
    async with producing(broker.uri) as main:
        await until(lambda: value(main, CONFIRMED))

    confirmed = value(main, CONFIRMED)
    assert value(main, "tidings_publish_confirm_seconds_count") == confirmed
    assert value(main, "tidings_outbox_depth") == 0
    assert await broker.messages(UNROUTED) == confirmed


async def test_the_probes_tell_ready_and_the_metrics(broker: Broker) -> None:
    async with producing(broker.uri) as main:
        status, body = await get(main, "/readyz")
        assert (status, body) == (200, "ready\n")
        status, body = await get(main, "/metrics")
        assert 'tidings_ticks_missed_total{source="' in body


@pytest.mark.fault("P1")
async def test_with_the_broker_away_the_producer_is_alive_and_not_ready() -> None:
    async with producing(NOBODY, ready=False, drain_timeout="1ms") as main:
        await until(lambda: main.probes.port)
        assert await get(main, "/livez") == (200, "alive\n")
        status, body = await get(main, "/readyz")

    assert status == 503
    assert body.startswith("publish: ")


async def test_what_cannot_be_sent_before_the_deadline_is_told_in_one_line() -> None:
    with structlog.testing.capture_logs() as logs:
        async with producing(NOBODY, ready=False, drain_timeout="100ms") as main:
            await until(lambda: value(main, "tidings_outbox_depth") >= 3)

    (unsent,) = [line for line in logs if line["event"] == "unsent_events_lost"]
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

    (one,) = build_sources(declarations_of(source(every="10ms", name="stubborn")(stubborn)))
    with structlog.testing.capture_logs() as logs:
        async with producing(broker.uri, one, *FAST, drain_timeout="200ms"):
            await read(broker.uri, UNROUTED, 3)

    assert [line["task"] for line in logs if line["event"] == "source_does_not_stop"] == [
        "source stubborn"
    ]
