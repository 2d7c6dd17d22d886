"""Renders each overlay once, and prints the score at the end."""

from pathlib import Path

import pytest

from manifests.rendering import OVERLAYS, Render, copy_with_secrets, render
from manifests.scorecard import LATER, ROWS


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(number): a row of the scorecard")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the report carry the rows, as markers do not reach the summary."""
    for item in items:
        rows = [mark.args[0] for mark in item.iter_markers("row")]
        item.user_properties += [("row", number) for number in rows]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each row, and the score: rows of which every test has passed."""
    results: dict[int, list[bool]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            for name, value in getattr(report, "user_properties", ()):
                if name == "row" and isinstance(value, int):
                    results.setdefault(value, []).append(outcome == "passed")
    if not results:
        return
    terminalreporter.section("scorecard of k8s/")
    for number, title in ROWS.items():
        if number in LATER:
            mark, note = "later", f": {LATER[number]}"
        else:
            mark, note = ("yes" if all(results.get(number, [False])) else "NO"), ""
        terminalreporter.line(f"{number:3} {mark:5} {title}{note}")
    met = sum(number not in LATER and all(passed) for number, passed in results.items())
    terminalreporter.line(
        f"score: {met} of the {len(ROWS) - len(LATER)} rows that apply to dev and byo-broker, "
        f"of {len(ROWS)} in all"
    )


@pytest.fixture(scope="session")
def k8s(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of k8s/ in which the Secrets' sources are there."""
    return copy_with_secrets(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="session")
def renders(k8s: Path) -> dict[str, Render]:
    """Every overlay, by its name."""
    return {overlay: render(k8s, overlay) for overlay in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def rendered(request: pytest.FixtureRequest, renders: dict[str, Render]) -> Render:
    """Each overlay in turn."""
    return renders[request.param]


@pytest.fixture
def dev(renders: dict[str, Render]) -> Render:
    """The overlay with a broker of its own."""
    return renders["dev"]
