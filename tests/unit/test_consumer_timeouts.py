"""Handlers' timeouts against the broker's consumer timeout, before the first event."""

import pytest

from common.errors import ConfigError
from consumer.main import Main
from consumer.registry import Registry, build_registry, declarations_of
from consumer.settings import ConsumerSettings
from consumer.timeouts import longest_timeout, too_long
from tidings import handler


@handler("order.created", timeout="20m")
async def slow() -> None: ...


@handler("order.*", timeout=5)
async def quick() -> None: ...


@handler("mail.sent")
async def undecided() -> None: ...


def registry(timeout: float = 30) -> Registry:
    declared = [*declarations_of(quick), *declarations_of(slow), *declarations_of(undecided)]
    return build_registry(declared, timeout=timeout)


def main(**given: object) -> Main:
    settings = ConsumerSettings(AMQP_URI="amqp://h", probes_port=0, **given)  # type: ignore[arg-type] # names of settings
    return Main(settings, registry())


async def test_a_timeout_too_long_for_the_broker_is_one_line_that_names_the_handler() -> None:
    with pytest.raises(ConfigError) as caught:
        main()

    text = str(caught.value)
    assert len(text.splitlines()) == 1
    for words in (
        "timeout of 20m of @handler('order.created')",
        "test_consumer_timeouts.py:",
        "consumer timeout of 30m",
        "at most 14m42s",
        "TIDINGS_HANDLER_TIMEOUT",
        "TIDINGS_CONSUMER_TIMEOUT",
    ):
        assert words in text


async def test_a_broker_that_waits_longer_can_be_told_of() -> None:
    assert main(consumer_timeout="1h").settings.consumer_timeout == 3600


@pytest.mark.parametrize(
    ("consumer_timeout", "drain_timeout", "longest"),
    [(1800, 35, 882.5), (60, 35, 12.5), (30, 35, 0.0), (1800, 0.2, 899.9)],
)
def test_half_of_what_the_drain_leaves_is_for_a_run(
    consumer_timeout: float, drain_timeout: float, longest: float
) -> None:
    """An event may wait behind a run as long as its own."""
    assert longest_timeout(consumer_timeout, drain_timeout) == pytest.approx(longest)


def test_the_longest_timeout_decides_and_a_service_without_handlers_has_none() -> None:
    limits = {"consumer_timeout": 7200.0, "drain_timeout": 35.0}

    assert too_long(registry().handlers, **limits) is None
    assert "of 2h of @handler('mail.sent')" in (too_long(registry(7200).handlers, **limits) or "")
    assert too_long((), **limits) is None
