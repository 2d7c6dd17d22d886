"""Rules about the rooms that import-linter cannot say, and docs that must be true."""

import ast
import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("producer", "consumer", "ops", "tidings")
DRAWERS = {"utils", "helpers", "misc", "base", "core", "types", "manager", "shared"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("common", *ROOMS, cache_dir=None)


def modules(graph: grimp.ImportGraph, room: str) -> list[str]:
    return [name for name in graph.modules if name == room or name.startswith(f"{room}.")]


def test_common_is_no_drawer_each_module_serves_two_rooms(graph: grimp.ImportGraph) -> None:
    lonely = {}
    for module in modules(graph, "common"):
        if module in ("common", "common.broker") or module.startswith("common.broker."):
            continue
        users = {name.split(".")[0] for name in graph.find_downstream_modules(module)}
        if len(users & set(ROOMS)) < 2:
            lonely[module] = users
    assert lonely == {}


def test_no_module_has_a_name_that_says_nothing(graph: grimp.ImportGraph) -> None:
    assert [name for name in graph.modules if name.split(".")[-1] in DRAWERS] == []


def test_only_settings_read_the_environment_in_the_services(graph: grimp.ImportGraph) -> None:
    readers = []
    for room in ("common", "producer", "consumer"):
        for path in (ROOT / room).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            if path.name != "settings.py" and re.search(r"os\.(environ|getenv)", source):
                readers.append(str(path.relative_to(ROOT)))
    assert readers == []


@pytest.mark.parametrize("page", ["guarantees.md", "ordering.md"])
def test_the_promises_name_tests_that_exist(page: str) -> None:
    """Each promise stands beside the test that proves it."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    written = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert named
    assert named - written == set()


def test_the_links_of_the_docs_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text(encoding="utf-8")
        broken += [
            f"{page.relative_to(ROOT)} -> {target}"
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
            if not (page.parent / target).exists()
        ]
    assert broken == []
