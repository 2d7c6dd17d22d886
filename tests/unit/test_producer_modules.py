"""Modules of the user that cannot be loaded: one line with file:line and the remedy."""

import sys
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.modules import load_module, location_of
from support.names import Names


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's, who runs the command in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return tmp_path


@pytest.fixture
def name(names: Names) -> str:
    """A module name that no other test has imported."""
    return f"user_{names.suffix}"


def problem_of(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_module(name)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_module_of_the_current_folder_is_found(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("x = 1\n")

    assert load_module(name).x == 1


def test_the_current_folder_hides_no_library(here: Path) -> None:
    (here / "json.py").write_text("raise RuntimeError\n")

    assert load_module("json.decoder").JSONDecoder


def test_a_module_that_is_not_there(name: str) -> None:
    text = problem_of(f"{name}.handlers")

    assert text.startswith(f"no module named '{name}.handlers'")
    assert "run from the folder that holds it, or correct TIDINGS_MODULES" in text


def test_a_module_below_something_that_is_no_package(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("")

    assert f"'{name}' is not a package" in problem_of(f"{name}.handlers")


@pytest.mark.parametrize("path", ["shop/handlers.py", "shop.handlers:app", "", "shop..handlers"])
def test_a_path_is_no_module_name(path: str) -> None:
    assert "write shop.handlers, not shop/handlers.py" in problem_of(path)


def test_a_missing_import_inside_a_module_is_told_with_its_line(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("import json\nimport not_installed_anywhere\n")

    assert problem_of(name) == (
        f"{name}.py:2: ModuleNotFoundError: No module named 'not_installed_anywhere' "
        f"(importing {name})"
    )


def test_the_deepest_line_of_the_users_own_code_is_told(here: Path, name: str) -> None:
    """Neither the line in the library that raised, nor the first line of the chain."""
    (here / f"{name}_helper.py").write_text("import json\ndef read():\n    json.loads('{')\n")
    (here / f"{name}.py").write_text(f"from {name}_helper import read\nread()\n")

    assert problem_of(name).startswith(f"{name}_helper.py:3: JSONDecodeError: Expecting")


def test_a_syntax_error_is_told_with_its_line(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("x = 1\ndef (:\n")

    assert problem_of(name).startswith(f"{name}.py:2: SyntaxError: ")


def test_a_module_that_ends_the_process_is_a_wrong_module(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("import sys\nsys.exit(3)\n")

    assert problem_of(name) == f"{name}.py:2: SystemExit: 3 (importing {name})"


def test_a_config_error_of_a_decorator_passes_as_it_is(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text(
        "from common.errors import ConfigError\nraise ConfigError('said where')\n"
    )

    assert problem_of(name) == "said where"


@pytest.mark.parametrize(
    "line", ["import common.tools", "from common import tools", "import common.tools as t"]
)
def test_a_folder_with_the_name_of_one_of_ours_has_to_be_renamed(
    here: Path, name: str, line: str
) -> None:
    (here / "common").mkdir()
    (here / "common" / "tools.py").write_text("")
    (here / f"{name}.py").write_text(f"{line}\n")

    text = problem_of(name)

    assert text.startswith(f"{here / 'common'} has the name of a package of Tidings")
    assert "rename it" in text


def test_a_wrong_import_from_ours_is_not_blamed_on_a_folder(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("from common.errors import Nonsense\n")

    assert problem_of(name).startswith(f"{name}.py:1: ImportError: cannot import name 'Nonsense'")


def test_a_function_is_located_relative_to_the_current_folder(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("\n\ndef f():\n    pass\n\nclass K:\n    pass\n")
    module = load_module(name)

    assert location_of(module.f) == f"{name}.py:3"
    assert location_of(module.K) == f"{name}.K"
