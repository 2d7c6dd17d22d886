"""The producer's settings: names that all services know, and clear refusals."""

import pytest

from common.errors import ConfigError
from common.settings import KNOWN_VARIABLES, Settings, load, variable_of
from producer.settings import ProducerSettings


@pytest.fixture(autouse=True)
def uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URI", "amqp://guest:secret@localhost/")


def test_the_defaults_need_a_broker_and_nothing_else() -> None:
    settings = load(ProducerSettings)

    assert (settings.source, settings.outbox_home, settings.outbox_size) == (
        "tidings/producer",
        "memory",
        10_000,
    )


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("TIDINGS_OUTBOX", "redis://x", "TIDINGS_OUTBOX: 'redis://x' is no outbox; write memory"),
        ("TIDINGS_OUTBOX", "sqlite:///", "TIDINGS_OUTBOX: 'sqlite:///' is no outbox; write memory"),
        ("TIDINGS_OUTBOX_BYTES", "1KiB", "TIDINGS_OUTBOX_BYTES: input should be greater than"),
        ("TIDINGS_OUTBOX_BYTES", "much", "TIDINGS_OUTBOX_BYTES: could not parse"),
        ("TIDINGS_OUTBOX_SIZE", "0", "TIDINGS_OUTBOX_SIZE: input should be greater than"),
        ("TIDINGS_SOURCE", "a\nb", "TIDINGS_SOURCE: must be printable text"),
        ("TIDINGS_SOURCE", "s" * 256, "TIDINGS_SOURCE: must be printable text"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigError) as caught:
        load(ProducerSettings)

    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({"TIDINGS_DATA": "/var/lib/tidings"}, "sqlite:////var/lib/tidings/outbox.db"),
        ({"TIDINGS_DATA": "here"}, "sqlite:///here/outbox.db"),
        ({"TIDINGS_DATA": "/x", "TIDINGS_OUTBOX": "memory"}, "memory"),
        ({"TIDINGS_OUTBOX": "sqlite:///a.db"}, "sqlite:///a.db"),
    ],
)
def test_a_data_folder_is_the_home_of_the_outbox_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], home: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert load(ProducerSettings).outbox_home == home


def test_every_variable_is_one_that_all_services_know() -> None:
    own = ProducerSettings.model_fields.keys() - Settings.model_fields.keys()

    variables = {variable_of(name, ProducerSettings.model_fields[name]) for name in own}

    assert variables == {
        "TIDINGS_SOURCE",
        "TIDINGS_DATA",
        "TIDINGS_OUTBOX",
        "TIDINGS_OUTBOX_BYTES",
        "TIDINGS_OUTBOX_SIZE",
    }
    assert variables <= KNOWN_VARIABLES
