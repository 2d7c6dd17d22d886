"""Fixtures of several integration tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.broker import Connection, connect
from support.broker import Broker
from support.door import queue_topology
from support.shop import RECORDING


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A user's folder with one module."""
    (tmp_path / "shop.py").write_text(RECORDING)
    return tmp_path


@pytest.fixture
async def connection(broker: Broker) -> AsyncIterator[Connection]:
    """An open door, with the queue `q` behind it."""
    async with connect(broker.uri, name="door") as opened:
        await opened.ensure(queue_topology("q"), "declare")
        yield opened
