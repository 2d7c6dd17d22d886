"""Fixtures of all tests: brokers of every version that is there, and names."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

import pytest

from support.broker import Broker, OwnBroker
from support.brokers import Brokers, Kind, given_address
from support.names import Names

pytest_plugins = ["faults.plugin"]

BROKERS: Final = pytest.StashKey[Brokers]()

# Before anything else: AMQP_URI may be somebody's staging broker, and no setting of the shell's
# may change what a test sees.
for variable in list(os.environ):
    if variable.startswith(("AMQP_URI", "TIDINGS_")):
        del os.environ[variable]


def pytest_configure(config: pytest.Config) -> None:
    exported = getattr(config, "workerinput", {}).get("brokers")
    brokers = Brokers() if exported is None else Brokers.imported(exported)
    config.stash[BROKERS] = brokers
    config.add_cleanup(brokers.remove)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: "_Worker") -> None:
    """Start the brokers here, once, before xdist's workers: they only get the addresses."""
    if not _only_units(node.config):
        node.workerinput["brokers"] = node.config.stash[BROKERS].export()


def pytest_report_header(config: pytest.Config) -> str:
    if _only_units(config):
        return "brokers: none, for unit tests"
    kinds = config.stash[BROKERS].kinds
    return "brokers: " + ", ".join(f"{kind} ({kind.origin})" for kind in kinds)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses a broker once on each kind."""
    if "broker_kind" in metafunc.fixturenames:
        metafunc.parametrize("broker_kind", metafunc.config.stash[BROKERS].kinds, ids=str)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if given_address() is None:
        return
    harmful = [item for item in items if item.get_closest_marker("harms")]
    config.hook.pytest_deselected(items=harmful)
    items[:] = [item for item in items if item not in harmful]


@pytest.fixture
async def broker(pytestconfig: pytest.Config, broker_kind: Kind) -> AsyncIterator[Broker]:
    """A virtual host of the test's own on the broker that all tests share."""
    address = pytestconfig.stash[BROKERS].shared(broker_kind)
    vhost = f"test-{secrets.token_hex(6)}"
    async with Broker(address, broker_kind.version, vhost) as ready:
        yield ready


@pytest.fixture
async def odd_broker(pytestconfig: pytest.Config, broker_kind: Kind) -> AsyncIterator[Broker]:
    """A virtual host whose name has every character that a URI must encode."""
    address = pytestconfig.stash[BROKERS].shared(broker_kind)
    vhost = f"/shop 5% @:?#ü-{secrets.token_hex(3)}"
    async with Broker(address, broker_kind.version, vhost) as ready:
        yield ready


@pytest.fixture
async def own_broker(broker_kind: Kind) -> AsyncIterator[OwnBroker]:
    """A broker that the test may stop, kill and pause; for tests marked serial and harms."""
    handle = await asyncio.to_thread(broker_kind.start_own)
    try:
        yield OwnBroker(handle)
    finally:
        await asyncio.to_thread(handle.remove)


@pytest.fixture
def names() -> Names:
    """Names that no other test uses."""
    return Names(secrets.token_hex(3))


class _Worker(Protocol):
    """What we use of xdist's worker controller, which has no types."""

    config: pytest.Config
    workerinput: dict[str, object]


def _only_units(config: pytest.Config) -> bool:
    """Tell whether the command line asks for no test that could need a broker."""
    return all("unit" in Path(argument.partition("::")[0]).parts for argument in config.args)
