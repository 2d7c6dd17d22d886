"""What other people's checkers say: checkov, hadolint, compose."""

import re
from pathlib import Path

import pytest

from manifests.findings import Finding, accepted, findings
from manifests.rendering import ROOT, Render, run

_MOST_SKIPS = 2


@pytest.fixture(scope="module")
def found(renders: dict[str, Render], tmp_path_factory: pytest.TempPathFactory) -> set[Finding]:
    folder = tmp_path_factory.mktemp("checkov")
    return {finding for render in renders.values() for finding in findings(render, folder)}


@pytest.mark.timeout(300)
def test_checkov_finds_nothing_that_is_not_accepted_with_a_reason(found: set[Finding]) -> None:
    assert found - accepted().keys() == set()


def test_no_accepted_finding_is_out_of_date(found: set[Finding]) -> None:
    assert accepted().keys() - found == set()


def test_every_accepted_finding_has_a_reason() -> None:
    assert all(len(reason) > 40 for reason in accepted().values())


@pytest.mark.parametrize("service", ["producer", "consumer"])
def test_hadolint_finds_nothing_in_the_dockerfiles(service: str) -> None:
    run("hadolint", "--failure-threshold", "style", f"Dockerfile.{service}")


@pytest.mark.parametrize("service", ["producer", "consumer"])
def test_hadolint_is_told_to_overlook_two_things_at_most(service: str) -> None:
    text = (ROOT / f"Dockerfile.{service}").read_text(encoding="utf-8")
    skips = [
        rule for line in re.findall(r"hadolint ignore=(\S+)", text) for rule in line.split(",")
    ]
    assert len(skips) <= _MOST_SKIPS
    assert not list(ROOT.glob(".hadolint.y*ml"))


def test_compose_reads_its_file(tmp_path: Path) -> None:
    """Without an engine: the command only reads, and fills in what `.env` says."""
    environment = tmp_path / ".env"
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    environment.write_text(re.sub(r"(?m)^(\w*PASSWORD)=$", r"\1=x", example), encoding="utf-8")
    run("docker", "compose", "--env-file", str(environment), "config", "--quiet")
