"""`tidings describe` prints what a consumer would do, without a broker."""

import sys
from pathlib import Path

import pytest

from tidings.__main__ import main

HANDLERS = """\
from tidings import handler

@handler("order.created", attempts=3, timeout="5s")
async def charge() -> None: ...

@handler("mail.*")
def mail() -> None: ...
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with handlers, in a folder that is the working directory."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(HANDLERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return name


def test_handlers_with_their_policies_and_the_groups_queues_are_printed(
    shop: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDINGS_GROUP", "billing")

    assert main(["describe", shop]) == 0

    out = capsys.readouterr().out
    for fact in (
        *("order.created", f"{shop}.charge", "3 attempts", "5s", f"{shop}.py:3"),
        *("mail.*", f"{shop}.mail", "10 attempts"),
        *("billing.dead", "events.unrouted", "billing.delay.v1.1s", "delivery-limit=20"),
    ):
        assert fact in out


def test_a_module_that_is_not_there_is_one_line_and_exit_code_78(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["describe", "no_such_module"]) == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert "no_such_module" in line
