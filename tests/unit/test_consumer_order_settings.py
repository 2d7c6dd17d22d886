"""The settings of an order: a wrong one is a line that says variable, problem and remedy."""

from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError
from common.settings import load
from consumer.settings import ConsumerSettings
from support.processes import service

URI = "amqp://user:s3ntinel@broker:5672/shop"

WRONG = [
    ("TIDINGS_ORDER", "random", ["'any', 'fifo', 'lifo', 'priority' or 'key'", "docs/ordering.md"]),
    ("TIDINGS_ORDER", "FIFO", ["'fifo'"]),
    ("TIDINGS_PARTITIONS", "3", ["must be one of 1, 2, 4, 8, 16, 32, 64", "the keys are spread"]),
    ("TIDINGS_PARTITIONS", "0", ["must be one of 1, 2"]),
    ("TIDINGS_PARTITIONS", "-4", ["must be one of 1, 2"]),
    ("TIDINGS_PARTITIONS", "128", ["must be one of 1, 2"]),
    ("TIDINGS_PARTITIONS", "four", ["integer"]),
    ("TIDINGS_ORDER_ON_RETRY", "wait", ["'stop' or 'skip'", "with `fifo` or `key`"]),
    ("TIDINGS_WINDOW", "0", ["greater than or equal to 1", "in hand at most"]),
    ("TIDINGS_WINDOW", "2001", ["less than or equal to 2000"]),
    ("TIDINGS_WINDOW", "all", ["integer"]),
    ("TIDINGS_MAX_AGE", "0", ["greater than 0", "set aside"]),
    ("TIDINGS_MAX_AGE", "0s", ["greater than 0"]),
    ("TIDINGS_MAX_AGE", "-5", ["is not a duration", "write seconds (30) or 500ms"]),
    ("TIDINGS_MAX_AGE", "old", ["is not a duration"]),
    ("TIDINGS_ORDR", "fifo", ["did you mean TIDINGS_ORDER?"]),
    ("TIDINGS_ORDER_ON_RETRYS", "skip", ["did you mean TIDINGS_ORDER_ON_RETRY?"]),
    ("TIDINGS_PARTITION", "4", ["did you mean TIDINGS_PARTITIONS?"]),
    ("TIDINGS_MAXAGE", "4", ["did you mean TIDINGS_MAX_AGE?"]),
]
OURS = [
    ("a.dead", ".dead", "a"),
    ("a.suspects", ".suspects", "a"),
    ("a.begun", ".begun", "a"),
    ("a.return", ".return", "a"),
    ("a.fifo", ".fifo", "a"),
    ("a.key16", ".key16", "a"),
    ("a.key16.3", ".key16.3", "a"),
    ("a.key4.other", ".key4.other", "a"),
    ("a.delay.v1.8s", ".delay.v1.8s", "a"),
    ("shop.a.fifo", ".fifo", "shop.a"),
    ("a.fifo.dead", ".dead", "a.fifo"),
]


@pytest.fixture(autouse=True)
def _broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URI", URI)


def refusal() -> str:
    with pytest.raises(ConfigError) as caught:
        load(ConsumerSettings)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "s3ntinel" not in text
    return text


@pytest.mark.parametrize(("variable", "value", "words"), WRONG)
def test_a_wrong_value_is_one_line_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: list[str]
) -> None:
    monkeypatch.setenv(variable, value)

    text = refusal()

    assert text.startswith(variable)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(("group", "ending", "of"), OURS)
def test_a_group_that_is_called_as_a_queue_of_another_group_is_refused(
    monkeypatch: pytest.MonkeyPatch, group: str, ending: str, of: str
) -> None:
    monkeypatch.setenv("TIDINGS_GROUP", group)

    text = refusal()

    assert text.startswith(f"TIDINGS_GROUP: must not end in '{ending}', ")
    assert f"which names a queue of group '{of}'" in text


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("amq.x", "must not begin with 'amq.', which is the broker's"),
        ("events", "must not begin with 'events.'"),
        ("events.key4", "must not begin with 'events.'"),
    ],
)
def test_a_group_that_is_called_as_what_is_not_its_own_is_refused(
    monkeypatch: pytest.MonkeyPatch, group: str, words: str
) -> None:
    monkeypatch.setenv("TIDINGS_GROUP", group)

    assert refusal().startswith(f"TIDINGS_GROUP: {words}")


@pytest.mark.parametrize(
    "group",
    ["fifo", "key16", "a.keys", "a.key", "a.keyed.3", "a.fifos", "a-dead", "amqp", "eventsource"],
)
def test_a_group_that_only_looks_alike_is_none_of_ours(
    monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    monkeypatch.setenv("TIDINGS_GROUP", group)

    assert load(ConsumerSettings).group == group


def test_right_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"ORDER": "key", "ORDER_ON_RETRY": "skip", "PARTITIONS": "64", "WINDOW": "2000"}
    for name, value in {**given, "MAX_AGE": "1m30s"}.items():
        monkeypatch.setenv(f"TIDINGS_{name}", value)

    settings = load(ConsumerSettings)

    assert (settings.order, settings.order_on_retry) == ("key", "skip")
    assert (settings.partitions, settings.window, settings.max_age) == (64, 2000, 90.0)
    assert settings.prefetch((4, 3)) == 2000


def test_what_nobody_set_is_any_order_and_no_age() -> None:
    settings = load(ConsumerSettings)

    assert (settings.order, settings.order_on_retry) == ("any", "stop")
    assert (settings.partitions, settings.window, settings.max_age) == (16, None, None)


async def test_a_consumer_that_is_told_a_wrong_order_ends_with_78_and_one_line(
    tmp_path: Path,
) -> None:
    where: dict[str, Any] = {"AMQP_URI": URI, "ORDER": "key", "PARTITIONS": 3}
    async with service("consumer", "shop", folder=tmp_path, **where) as one:
        assert await one.exit_code(within=30) == 78
        lines = one.output.splitlines()

    assert len(lines) == 1
    assert lines[0].startswith("tidings: TIDINGS_PARTITIONS: must be one of 1, 2, 4, ")
