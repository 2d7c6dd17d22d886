"""The command `tidings` as a process: exit codes, one line for an error, emit, healthcheck."""

import asyncio
import os
import sys
from urllib.parse import urlsplit

import pytest

from common.envelope import to_event
from common.event import Event
from common.metrics import Metrics
from common.probes import Health, Probes
from common.topology import dead_name
from ops.broker_handle import free_ports
from support.broker import Broker
from support.command import tidings
from support.names import Names
from support.services import drained
from support.shelves import letter, make_group, set_aside

NOBODY = "amqp://user:secret@127.0.0.1:1/"


async def test_emit_publishes_one_event_and_prints_its_id(broker: Broker, names: Names) -> None:
    await make_group(broker.uri, names.group, "order.created")

    said = await tidings(
        broker.uri,
        *("emit", "order.created", "--data", '{"order": 7}'),
        *("--key", "c-1", "--subject", "orders/7", "--id", "e7", "--source", "/by-hand"),
    )

    assert (said.code, said.out, said.err) == (0, "e7\n", "")
    (found,) = await drained(broker.uri, names.group, 1)
    event = to_event(found.message, routing_key="", exchange="", fallback_id="")
    assert isinstance(event, Event)
    assert (event.data, event.key, event.subject) == ({"order": 7}, "c-1", "orders/7")
    assert (event.id, event.source) == ("e7", "/by-hand")


@pytest.mark.parametrize(
    "arguments",
    [
        ("emit", "order.created", "--data", "1"),
        ("dead", "list"),
        ("dead", "replay", "--all"),
        ("dead", "drop", "--all", "--yes"),
        ("unrouted", "list"),
        ("unrouted", "replay", "--all"),
    ],
    ids=" ".join,
)
async def test_a_broker_that_is_down_is_one_line_and_exit_code_69(arguments: list[str]) -> None:
    said = await tidings(NOBODY, *arguments)
    assert (said.code, said.out) == (69, "")
    (line,) = said.err.splitlines()
    assert "amqp://user:***@127.0.0.1:1/" in line


async def test_a_group_that_was_never_there_is_one_line_and_exit_code_78(broker: Broker) -> None:
    said = await tidings(broker.uri, "dead", "list", "--group", "nobody")
    assert said.code == 78
    assert said.err.splitlines() == [
        "tidings: queue 'nobody.dead' does not exist; start a consumer of that group once"
    ]


async def test_a_wrong_password_is_one_line_and_exit_code_78(broker: Broker) -> None:
    where = urlsplit(broker.uri)
    wrong = where._replace(netloc=f"{where.username}:wrong@{where.hostname}:{where.port}").geturl()
    said = await tidings(wrong, "dead", "list")
    assert said.code == 78
    (line,) = said.err.splitlines()
    assert "refused the user or the password" in line


async def test_a_wrong_setting_is_one_line_and_exit_code_78() -> None:
    said = await tidings(NOBODY, "dead", "list", GRUOP="x")
    assert said.code == 78
    assert said.err.splitlines() == [
        "tidings: TIDINGS_GRUOP is no setting of Tidings; did you mean TIDINGS_GROUP?"
    ]


async def test_data_that_is_not_json_is_one_line_and_exit_code_1() -> None:
    said = await tidings(NOBODY, "emit", "order.created", "--data", "{order: 7}")
    assert said.code == 1
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("ready", [True, False])
async def test_healthcheck_says_whether_the_service_is_ready(*, ready: bool) -> None:
    health = Health("consume")
    if ready:
        health.set("consume", None)
    (port,) = free_ports(1)
    async with Probes(health, Metrics(), port=port, fixed=True):
        alive = await tidings(None, "healthcheck", PROBES_PORT=port)
        asked = await tidings(None, "healthcheck", "--ready", PROBES_PORT=port)
    assert (alive.code, alive.out) == (0, "alive\n")
    assert (asked.code, asked.out) == ((0, "ready\n") if ready else (1, "consume: starting\n"))


async def test_healthcheck_fails_where_nothing_listens() -> None:
    said = await tidings(None, "healthcheck", PROBES_PORT=1)
    assert (said.code, said.out) == (1, "127.0.0.1:1/livez: Connection refused\n")


async def test_a_reader_that_has_seen_enough_is_no_error(broker: Broker, names: Names) -> None:
    # More than a pipe holds, so that there is somebody to be stopped.
    await set_aside(broker.uri, names.group, [letter(number)[1] for number in range(1000)])
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m tidings dead list --json --group {names.group} | head -n 1",
        env={**os.environ, "AMQP_URI": broker.uri},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert len(out.splitlines()) == 1
    assert err == b""
    assert await broker.messages(dead_name(names.group)) == 1000
