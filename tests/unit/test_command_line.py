"""The command line: what it accepts, what it imports, and what it says of mistakes."""

import argparse
import subprocess
import sys
from importlib import import_module

import pytest

from common.version import VERSION
from ops.arguments import build_parser, parse
from tidings.__main__ import main

HEAVY = ("aio_pika", "aiormq", "pydantic", "structlog", "rich", "asyncio", "orjson", "email")


def imported_by(statement: str) -> set[str]:
    """Return the modules that are loaded in a fresh interpreter after a statement."""
    code = f"""
import sys
try:
    {statement}
except SystemExit:
    pass
print(*sys.modules, sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines())


@pytest.mark.parametrize(
    "statement",
    [
        "import tidings.__main__",
        "import tidings.__main__ as command; command.main(['--help'])",
        "import tidings.__main__ as command; command.main(['dead', 'replay', '--help'])",
        "import tidings.__main__ as command; command.main(['version'])",
        "import tidings.__main__ as command; command.main(['healthcheck'])",
    ],
)
def test_help_and_healthcheck_import_nothing_heavy(statement: str) -> None:
    assert imported_by(statement).isdisjoint(HEAVY)


def all_parsers(parser: argparse.ArgumentParser, name: str = "tidings") -> dict[str, str]:
    """Return the help text of each command below a parser."""
    found = {name: parser.format_help()}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                found |= all_parsers(below, f"{name} {word}")
    return found


def test_each_command_has_an_example_in_its_help() -> None:
    texts = all_parsers(build_parser())
    assert len(texts) == 26
    for name, text in texts.items():
        assert name == "tidings" or f"example: {name}" in text


@pytest.mark.parametrize(
    "line",
    [
        "producer",
        "consumer shop.handlers shop.mail",
        "describe",
        "emit order.created --data 1",
        "dead list",
        "dead show e1 e2",
        "dead replay --all",
        "dead drop --reason expired",
        "unrouted list",
        "unrouted replay --type a",
        "outbox list --waiting",
        "outbox show e1 e2",
        "outbox retry --reason x",
        "outbox drop e1 --yes",
        "outbox stats",
        "topology plan shop.handlers",
        "topology check",
        "topology apply --prune",
        "healthcheck --ready",
        "version",
    ],
)
def test_each_command_names_a_function_that_exists(line: str) -> None:
    module, _, function = parse(line.split()).run.partition(":")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("dead replay", "say which ones"),
        ("dead drop --yes", "say which ones"),
        ("dead replay --limit 5", "say which ones"),
        ("dead show", "say which one"),
        ("unrouted replay", "say which ones"),
        ("unrouted drop --all", "invalid choice"),
        ("dead list --limit 0", "0 is not 1 or more"),
        ("dead replay --all --rate -1", "not a rate"),
        ("dead replay --all --rate inf", "not a rate"),
        ("dead replay --all --rate fast", "invalid"),
        ("emit order.created", "--data"),
        ("", "COMMAND"),
    ],
)
def test_wrong_usage_is_said_and_exits_2(
    line: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line.split())
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(("text", "rate"), [("50", 50.0), ("50/s", 50.0), ("0", 0.0), ("0.5", 0.5)])
def test_a_rate_may_be_written_with_its_unit(text: str, rate: float) -> None:
    assert parse(["dead", "replay", "--all", "--rate", text]).rate == rate


def test_ids_are_collected_wherever_they_stand() -> None:
    assert parse(["dead", "show", "e1", "--id", "e2", "--id", "e3"]).id == ["e1", "e2", "e3"]


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"tidings {VERSION}\n"


def test_a_missing_setting_is_one_line_and_exit_code_78(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["dead", "list"]) == 78
    assert capsys.readouterr().err.startswith("tidings: AMQP_URI is not set: ")
