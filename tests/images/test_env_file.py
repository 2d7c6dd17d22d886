"""`make env`: credentials of one's own, written once, for nobody else's eyes."""

import shutil
from pathlib import Path
from typing import Final

import pytest

from ops.env_file import EXAMPLES, main, target_of

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout as far as this needs one."""
    for example in EXAMPLES:
        (tmp_path / example).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / example, tmp_path / example)
    return tmp_path


def values(file: Path) -> dict[str, str]:
    lines = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_compose_and_the_overlay_get_a_password_each(folder: Path) -> None:
    assert main(folder) == 0

    compose, overlay = (values(folder / target_of(example)) for example in EXAMPLES)
    assert compose["BROKER_USER"] == overlay["RABBITMQ_DEFAULT_USER"] == "tidings"
    assert len(compose["BROKER_PASSWORD"]) == len(overlay["RABBITMQ_DEFAULT_PASS"]) == 32
    assert compose["BROKER_PASSWORD"] != overlay["RABBITMQ_DEFAULT_PASS"]


def test_the_overlays_uri_carries_the_brokers_password(folder: Path) -> None:
    main(folder)

    overlay = values(folder / target_of(EXAMPLES[1]))
    password = overlay["RABBITMQ_DEFAULT_PASS"]
    assert overlay["AMQP_URI"] == f"amqp://tidings:{password}@rabbitmq-service:5672/"


def test_only_its_owner_may_read_it(folder: Path) -> None:
    main(folder)

    assert {(folder / target_of(one)).stat().st_mode & 0o777 for one in EXAMPLES} == {0o600}


def test_what_is_there_is_left_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".env").write_text("BROKER_PASSWORD=mine\n")

    assert main(folder) == 0
    assert (folder / ".env").read_text() == "BROKER_PASSWORD=mine\n"
    assert ".env: there already: left as it is\n" in capsys.readouterr().out


def test_the_examples_hold_no_password_and_no_guest() -> None:
    given = {**values(ROOT / EXAMPLES[0]), **values(ROOT / EXAMPLES[1])}

    assert given["BROKER_PASSWORD"] == ""
    assert given["RABBITMQ_DEFAULT_PASS"] == "PASSWORD"
    assert "guest" not in given.values()


def test_what_cannot_be_written_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / EXAMPLES[0]).unlink()

    assert main(folder) == 1
    assert capsys.readouterr().err.count("\n") == 1
