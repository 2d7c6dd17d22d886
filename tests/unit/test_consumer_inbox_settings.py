"""Where the inbox is, how long it remembers, and whether it is fit for the handlers there are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from common.settings import load
from consumer.inbox.fitness import refuse_unfit
from consumer.inbox.home import file_of, open_inbox
from consumer.inbox.memory import MemoryInbox
from consumer.inbox.sqlite import SqliteInbox
from consumer.registry import Registry, build_registry, declarations_of, handler
from consumer.retrying import RetryPolicy
from consumer.settings import ConsumerSettings
from consumer.transaction import Transaction

DAY = 86400.0


@pytest.fixture(autouse=True)
def uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URI", "amqp://guest:secret@localhost/")


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({}, "memory"),
        ({"TIDINGS_DATA": "/var/lib/tidings"}, "sqlite:////var/lib/tidings/inbox.db"),
        ({"TIDINGS_DATA": "here"}, "sqlite:///here/inbox.db"),
        ({"TIDINGS_DATA": "/x", "TIDINGS_INBOX": "memory"}, "memory"),
        ({"TIDINGS_INBOX": "sqlite:///a.db"}, "sqlite:///a.db"),
    ],
)
def test_a_data_folder_is_the_home_of_the_inbox_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], home: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    settings = load(ConsumerSettings)

    assert (settings.inbox_home, settings.inbox_keep, settings.inbox_bytes) == (
        home,
        7 * DAY,
        1024**3,
    )


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("TIDINGS_INBOX", "redis://x", "TIDINGS_INBOX: 'redis://x' is no inbox; write memory or"),
        ("TIDINGS_INBOX", "sqlite:///", "TIDINGS_INBOX: 'sqlite:///' is no inbox; write memory"),
        ("TIDINGS_INBOX_KEEP", "0", "TIDINGS_INBOX_KEEP: input should be greater than 0"),
        ("TIDINGS_INBOX_KEEP", "a week", "TIDINGS_INBOX_KEEP: 'a week' is not a duration"),
        ("TIDINGS_INBOX_BYTES", "1KiB", "TIDINGS_INBOX_BYTES: input should be greater than"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigError) as caught:
        load(ConsumerSettings)

    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


async def test_the_home_says_which_inbox_it_is(tmp_path: Path) -> None:
    home = f"sqlite:///{tmp_path}/inbox.db"
    assert file_of(home) == tmp_path / "inbox.db"
    assert file_of("memory") is None
    assert isinstance(open_inbox("memory", group="g", keep=DAY, quota=2**20), MemoryInbox)

    inbox = open_inbox(home, group="g", keep=DAY, quota=2**20)

    assert isinstance(inbox, SqliteInbox)
    assert inbox.durable
    assert inbox.trouble is None
    await inbox.close()


def registry_of(function: Callable[..., Any], **arguments: Any) -> Registry:
    handler("order.created", **arguments)(function)
    return build_registry(declarations_of(function))


def test_a_handler_that_wants_a_transaction_needs_a_database() -> None:
    def on_order(order: dict[str, Any], tx: Transaction) -> None: ...

    registry = registry_of(on_order)
    refuse_unfit(registry, home="sqlite:///inbox.db", keep=7 * DAY)

    with pytest.raises(ConfigError) as caught:
        refuse_unfit(registry, home="memory", keep=7 * DAY)

    said = str(caught.value)
    assert f"{Path(__file__).name}:" in said
    assert "@handler('order.created') asks for a Transaction, and TIDINGS_INBOX is `memory`" in said
    assert "set TIDINGS_INBOX=sqlite:///path/of/inbox.db, or TIDINGS_DATA to a folder" in said
    assert "\n" not in said


def test_what_is_forgotten_before_the_last_retry_is_refused_with_the_time_it_takes() -> None:
    def on_order(order: dict[str, Any]) -> None: ...

    thrice = RetryPolicy.delays("6h", "6h", "6h", attempts=4)
    registry = registry_of(on_order, retry=thrice, timeout="30s")
    refuse_unfit(registry, home="sqlite:///inbox.db", keep=2 * DAY)
    refuse_unfit(registry, home="memory", keep=60.0)

    with pytest.raises(ConfigError) as caught:
        refuse_unfit(registry, home="sqlite:///inbox.db", keep=12 * 3600.0)

    said = str(caught.value)
    assert said.startswith("TIDINGS_INBOX_KEEP: 12h is not longer than the ")
    assert "for which @handler('order.created') at " in said
    assert said.endswith("tries an event again; set it longer, or the attempts fewer")


def test_the_defaults_are_fit_for_each_other() -> None:
    def on_order(order: dict[str, Any]) -> None: ...

    settings = load(ConsumerSettings)
    registry = registry_of(on_order)
    refuse_unfit(registry, home="sqlite:///inbox.db", keep=settings.inbox_keep)
