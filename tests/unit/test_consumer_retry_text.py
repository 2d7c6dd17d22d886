"""`TIDINGS_RETRY`: policies as people write them, and what is said where they cannot be read."""

import pytest

from common.errors import ConfigError
from common.settings import load
from consumer.retry_text import DEFAULT, policy_of
from consumer.retrying import RetryPolicy
from consumer.settings import ConsumerSettings


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (DEFAULT, RetryPolicy()),
        ("exponential(1s, 4, 1h)", RetryPolicy()),
        ("exponential(250ms)", RetryPolicy(first_delay=0.25)),
        ("exponential(2h, 2)", RetryPolicy.exponential("2h", 2)),
        ("linear(5s, 5s)", RetryPolicy.linear(5, 5)),
        ("linear(5s,5s,1m)", RetryPolicy.linear(5, 5, 60)),
        ("delays(1s, 10s, 1m)", RetryPolicy.delays(1, 10, 60)),
        (" Delays ( 1s ) , jitter = full ", RetryPolicy.delays(1, jitter="full")),
        (
            "delays(1s), max_age=6h, jitter=none",
            RetryPolicy.delays(1, jitter="none", max_age=21600),
        ),
        ("delays(1s, jitter=none)", RetryPolicy.delays(1, jitter="none")),
    ],
)
def test_a_policy_is_read(text: str, policy: RetryPolicy) -> None:
    assert policy_of(text) == policy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1s", "'1s' is no retry policy"),
        ("exponental(1s)", "there is no kind 'exponental'"),
        ("exponential()", "exponential takes first, factor and longest"),
        ("exponential(1s, four)", "the factor is a number of 1 or more, not 'four'"),
        ("exponential(1s, nan)", "factor must be 1 or more"),
        ("exponential(10s, 2, 1s)", "longest_delay must not be below first_delay"),
        ("linear(1s)", "linear takes first, step"),
        ("delays()", "delays must be one or more"),
        ("delays(soon)", "'soon' is not a duration"),
        ("delays(1s, , 2s)", "'' is not a duration"),
        ("delays(100d)", "'100d' is longer than"),
        ("delays(1s) jitter=full", "is no retry policy"),
        ("delays(1s), jitter=loud", "jitter is none, equal or full, not 'loud'"),
        ("delays(1s), speed=5", "there is no option 'speed=5'"),
        ("delays(1s), max_age=0s", "max_age must be more than 0"),
        ("delays(1s), attempts=5", "how often stands in TIDINGS_ATTEMPTS"),
        ("delays((1s))", "is no retry policy"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_what_is_right(
    monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setenv("AMQP_URI", "amqp://localhost/")
    monkeypatch.setenv("TIDINGS_RETRY", text)

    with pytest.raises(ConfigError) as caught:
        load(ConsumerSettings)

    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert said.startswith("TIDINGS_RETRY: ")
    assert words in said
    assert "write exponential(1s, 4, 1h), linear(5s, 5s) or delays(1s, 10s, 1m)" in said
    assert caught.value.exit_code == 78


def test_delays_and_attempts_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URI", "amqp://localhost/")
    monkeypatch.setenv("TIDINGS_RETRY", "delays(1s, 10s), jitter=full")
    monkeypatch.setenv("TIDINGS_ATTEMPTS", "4")

    policy = load(ConsumerSettings).policy

    assert policy == RetryPolicy.delays(1, 10, jitter="full", attempts=4)
