"""Settings: one variable each, and a line that says variable, problem and remedy."""

from pathlib import Path

import pytest

from common.duration import readable, seconds
from common.errors import ConfigError
from common.settings import KNOWN_VARIABLES, Settings, load, variable_of
from consumer.settings import ConsumerSettings
from ops.settings import OpsSettings
from producer.settings import ProducerSettings

URI = "amqp://user:s3ntinel@broker:5672/shop"


@pytest.fixture(autouse=True)
def _broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URI", URI)


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_GROUP", "billing")
    monkeypatch.setenv("TIDINGS_MODULES", "shop.handlers, shop.more,")
    monkeypatch.setenv("TIDINGS_HANDLER_TIMEOUT", "1m30s")
    monkeypatch.setenv("TIDINGS_CONCURRENCY", "")

    settings = load(ConsumerSettings)

    assert settings.uri == URI
    assert settings.group == "billing"
    assert settings.modules == ("shop.handlers", "shop.more")
    assert settings.handler_timeout == 90.0
    assert settings.concurrency == 64


def test_an_argument_wins_over_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_MODULES", "a")

    assert load(ConsumerSettings, modules=("b",)).modules == ("b",)


def test_a_file_can_hold_a_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AMQP_URI")
    (tmp_path / "uri").write_text(f"{URI}\n")
    monkeypatch.setenv("AMQP_URI_FILE", str(tmp_path / "uri"))

    assert load(Settings).uri == URI


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AMQP_URI", "", ["AMQP_URI is not set", "amqp://"]),
        ("AMQP_URI", "http://u:s3ntinel@broker", ["AMQP_URI", "must look like amqp://"]),
        ("AMQP_URI", "amqp://", ["AMQP_URI", "must look like"]),
        ("AMQP_URI", URI + "?no_verify_ssl=1", ["no_verify_ssl", "TIDINGS_TLS_CA"]),
        ("AMQP_URI_FILE", "/nowhere/s3cret", ["AMQP_URI_FILE", "/nowhere", "No such file"]),
        ("TIDINGS_CONCURRENCY", "many", ["TIDINGS_CONCURRENCY", "integer"]),
        ("TIDINGS_CONCURRENCY", "0", ["TIDINGS_CONCURRENCY", "greater than or equal to 1"]),
        ("TIDINGS_HANDLER_TIMEOUT", "soon", ["TIDINGS_HANDLER_TIMEOUT", "is not a duration"]),
        ("TIDINGS_LOG_LEVEL", "loud", ["TIDINGS_LOG_LEVEL", "'debug'"]),
        ("TIDINGS_GROUP", "a b", ["TIDINGS_GROUP", "pattern"]),
        ("TIDINGS_GROUP", "events.unrouted", ["TIDINGS_GROUP", "must not begin with 'events.'"]),
        ("TIDINGS_CONCURENCY", "5", ["TIDINGS_CONCURENCY", "did you mean TIDINGS_CONCURRENCY"]),
        ("TIDINGS_ZZZ", "5", ["TIDINGS_ZZZ is no setting", "unset it"]),
    ],
)
def test_a_wrong_value_is_one_line_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: list[str]
) -> None:
    if variable == "AMQP_URI_FILE":
        monkeypatch.delenv("AMQP_URI")
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigError) as caught:
        load(ConsumerSettings)

    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert all(word in text for word in words), text
    assert "s3ntinel" not in text


def test_each_problem_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_CONCURRENCY", "0")
    monkeypatch.setenv("TIDINGS_ATTEMPTS", "x")

    with pytest.raises(ConfigError) as caught:
        load(ConsumerSettings)

    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "variable",
    [
        "TIDINGS_SERVICE_HOST",
        "TIDINGS_PORT_8080_TCP_ADDR",
        "TIDINGS_CONSOLE_PORT",
        "TIDINGS_OUTBOX",
    ],
)
def test_what_kubernetes_injects_and_what_another_service_knows_is_no_error(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "tcp://10.0.0.1:8080")

    assert load(ConsumerSettings).uri == URI


def test_the_list_of_known_variables_is_true() -> None:
    found = {
        variable_of(name, field)
        for kind in (ConsumerSettings, ProducerSettings, OpsSettings)
        for name, field in kind.model_fields.items()
    }

    assert found - {"AMQP_URI"} == KNOWN_VARIABLES


def test_a_password_is_in_no_form_of_the_settings() -> None:
    settings = load(Settings)

    assert "s3ntinel" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5.0),
        (5, 5.0),
        ("5s", 5.0),
        ("250ms", 0.25),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("1.5d", 129600.0),
    ],
)
def test_durations_are_written_as_people_do(text: str | float, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    "text", ["", "s", "5x", "-1", -1, "1h banana", "1 h", True, float("inf"), float("nan")]
)
def test_what_is_no_duration_is_refused_with_the_forms_that_work(text: str | float) -> None:
    with pytest.raises(ValueError, match="500ms, 5s"):
        seconds(text)


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5s"), (4, "4s"), (60, "1m"), (3661, "1h1m1s"), (3600, "1h")]
)
def test_durations_are_said_as_people_do(value: float, text: str) -> None:
    assert readable(value) == text
