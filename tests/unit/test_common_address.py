"""The broker's address: a URI or its parts, percent-encoding, certificates, no secrets shown."""

from pathlib import Path

import pytest

from common.address import assembled, masked, uri_problem, with_certificates
from common.errors import ConfigError
from common.settings import Settings, load

URI = "amqp://user:s3ntinel@broker:5672/shop"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (URI, "amqp://user:***@broker:5672/shop"),
        ("amqps://u:p%40ss@h?cafile=/x&password=y", "amqps://u:***@h/"),
        ("amqp://h", "amqp://h/"),
        ("amqp://u:p@h:port/", "(not a URI)"),
        ("amqp://u:p@[::1", "(not a URI)"),
    ],
)
def test_a_uri_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert masked(uri) == shown


@pytest.mark.parametrize(
    ("parts", "uri"),
    [
        ({}, "amqp://u:p@h/"),
        ({"port": 5673, "vhost": "shop"}, "amqp://u:p@h:5673/shop"),
        ({"password": "p@ss/w:rd%"}, "amqp://u:p%40ss%2Fw%3Ard%25@h/"),
        ({"vhost": "/shop"}, "amqp://u:p@h/%2Fshop"),
        ({"host": "::1", "tls": True}, "amqps://u:p@[::1]/"),
    ],
)
def test_a_uri_is_put_together_from_plain_parts(parts: dict[str, object], uri: str) -> None:
    plain = {"host": "h", "port": None, "user": "u", "password": "p", "vhost": "/", "tls": False}

    assert assembled(**{**plain, **parts}) == uri  # type: ignore[arg-type] # from the table
    assert uri_problem(uri) is None


def test_certificates_are_added_to_a_uri() -> None:
    uri = with_certificates("amqps://h/?x=1", ca="/ca.pem", cert="/c d.pem", key="/k.pem")

    assert uri == "amqps://h/?x=1&cafile=%2Fca.pem&certfile=%2Fc+d.pem&keyfile=%2Fk.pem"
    assert with_certificates("amqp://h/", ca=None, cert=None, key=None) == "amqp://h/"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "broker",
        "http://h",
        "amqp://",
        "amqp://a,b/",
        "amqp://h:port/",
        "amqp://[::1/",
        "amqp://u:2024/s3ntinel@h/v",
        "amqp://u:12#s3@h",
        "amqp://u:12?s3@h",
    ],
)
def test_what_is_no_address_of_one_broker_is_refused(uri: str) -> None:
    assert uri_problem(uri) is not None


def test_the_parts_can_be_given_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss \n")
    monkeypatch.setenv("TIDINGS_AMQP_HOST", "broker")
    monkeypatch.setenv("TIDINGS_AMQP_USER", "user")
    monkeypatch.setenv("TIDINGS_AMQP_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("TIDINGS_AMQP_VHOST", "shop")

    assert load(Settings).uri == "amqp://user:p%40ss%20@broker/shop"


def test_a_ca_turns_tls_on_where_the_parts_are_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("TIDINGS_AMQP_HOST", "broker")
    monkeypatch.setenv("TIDINGS_TLS_CA", str(tmp_path / "ca.pem"))

    assert load(Settings).uri.startswith("amqps://guest:guest@broker/?cafile=")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, ["AMQP_URI is not set"]),
        ({"AMQP_URI": "amqp://u:2024/s3ntinel@h/v"}, ["%2F"]),
        ({"AMQP_URI": URI, "TIDINGS_AMQP_HOST": "h"}, ["AMQP_URI and TIDINGS_AMQP_HOST"]),
        ({"AMQP_URI": URI, "TIDINGS_TLS_CA": __file__}, ["amqps://"]),
        ({"TIDINGS_AMQP_HOST": "h", "TIDINGS_TLS_CERT": __file__}, ["TIDINGS_TLS_KEY"]),
        (
            {"AMQP_URI": URI, "TIDINGS_TLS_CA": "/nowhere"},
            ["TIDINGS_TLS_CA", "cannot read /nowhere"],
        ),
        ({"TIDINGS_AMQP_HOST": "h", "TIDINGS_AMQP_PORT": "0"}, ["TIDINGS_AMQP_PORT"]),
    ],
)
def test_what_contradicts_itself_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as caught:
        load(Settings)

    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert all(word in text for word in words), text
    assert "s3ntinel" not in text


def test_a_client_certificate_is_never_shown_in_plain_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDINGS_AMQP_HOST", "broker")
    monkeypatch.setenv("TIDINGS_TLS_CERT", __file__)
    monkeypatch.setenv("TIDINGS_TLS_KEY", __file__)

    assert load(Settings).uri.startswith("amqps://")
