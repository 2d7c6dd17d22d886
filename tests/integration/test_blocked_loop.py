"""A handler or a source that blocks the event loop of its service: seen, said, and over."""

import asyncio
import re
from pathlib import Path

import pytest

from support.broker import Broker
from support.names import Names
from support.processes import Service, service
from support.services import emit
from support.waiting import until

HANDLER = """
import pathlib, time
from tidings import handler

def compute() -> None:
    while not pathlib.Path("go").exists():
        time.sleep(0.02)

@handler("order.created")
async def charge() -> None:
    compute()
    pathlib.Path("handled").touch()
"""

SOURCE = """
import pathlib, time
from tidings import source

@source(every="50ms")
async def prices() -> list[str]:
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    return []
"""


async def livez(one: Service) -> str:
    """Ask; what does not answer keeps the caller waiting, as it would the kubelet."""
    found = re.search(r'127\.0\.0\.1:(\d+)/readyz|"probes_port": ?(\d+)', one.output)
    assert found
    reader, writer = await asyncio.open_connection("127.0.0.1", int(found[1] or found[2]))
    writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return answer


@pytest.mark.fault("C21")
async def test_a_handler_that_blocks_the_loop_fails_liveness_and_is_named(
    broker: Broker, names: Names, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(HANDLER)
    where = {"AMQP_URI": broker.uri, "GROUP": names.group, "LOOP_BLOCKED": "300ms"}
    async with service("consumer", "shop", folder=tmp_path, **where) as one:
        await one.says("subscribed")
        await emit(broker.uri, "order.created", 1)
        await one.says('"event":"loop_blocked"')
        asked = asyncio.create_task(livez(one))
        await until(lambda: _shows(one, r"shop\.py\W+, line 11, in charge\W+n    compute\(\)"))
        assert not asked.done()

        (tmp_path / "go").touch()

        assert (await asked).endswith("alive\n")
        await one.says('"event":"loop_free_again"')
        await until((tmp_path / "handled").exists)
        assert "in compute" in one.output
        assert one.output.count('"event":"loop_blocked"') == 1


async def test_a_source_that_blocks_the_loop_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SOURCE)
    where = {"AMQP_URI": "amqp://127.0.0.1:1", "LOOP_BLOCKED": "300ms"}
    async with service("producer", "shop", folder=tmp_path, **where) as one:
        await one.says('"event":"loop_blocked"')
        assert "in prices" in one.output
        (tmp_path / "go").touch()
        await one.says('"event":"loop_free_again"')
        assert (await livez(one)).endswith("alive\n")


def _shows(one: Service, pattern: str) -> bool:
    return re.search(pattern, one.output) is not None
