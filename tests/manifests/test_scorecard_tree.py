"""Rows of the scorecard about the files themselves."""

from pathlib import Path

import pytest
import yaml

from manifests.rendering import K8S, OVERLAYS, ROOT, Document
from manifests.scorecard import LATER, ROWS, row

_OLD = {"bases", "commonLabels", "patchesStrategicMerge", "patchesJson6902", "vars", "namePrefix"}


@row(33)
def test_an_overlay_only_puts_together_a_base_and_components() -> None:
    for overlay in OVERLAYS:
        lists = _kustomization(K8S / "overlays" / overlay)
        assert "../../base" in lists["resources"]
        assert lists["components"]
        assert lists["namespace"] == "tidings"


@row(33)
def test_the_base_has_nothing_that_only_one_cluster_has() -> None:
    kinds = {
        document["kind"]
        for path in (K8S / "base").glob("*er.yaml")
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    }
    assert kinds == {"Deployment", "ServiceAccount", "PodDisruptionBudget"}
    assert "namespace" not in _kustomization(K8S / "base")
    for path in (K8S / "base").glob("*er.yaml"):
        assert "replicas:" not in path.read_text(encoding="utf-8"), "an autoscaler may own it"


@row(33)
@pytest.mark.parametrize(
    "path", sorted(K8S.rglob("kustomization.yaml")), ids=lambda p: p.parent.name
)
def test_no_kustomization_uses_a_field_that_kustomize_deprecates(path: Path) -> None:
    assert not _OLD & _kustomization(path.parent).keys()


@row(39)
def test_no_overlay_shares_one_volume_claim_between_pods() -> None:
    """A claim with a name of its own is one for all pods of a workload, old and new."""
    for path in K8S.rglob("*.yaml"):
        assert "kind: PersistentVolumeClaim" not in path.read_text(encoding="utf-8"), path


@row(35)
def test_ci_runs_these_checks() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make manifests" in script


@row(38)
def test_compose_waits_for_brokers_and_services_that_are_healthy() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name, service in services.items():
        assert service["healthcheck"]["test"], name
        assert service["stop_grace_period"], name
        for condition in service.get("depends_on", {}).values():
            assert condition["condition"] == "service_healthy", name
    assert services["consumer"]["depends_on"]


def test_every_row_is_either_tested_or_waits_for_a_reason() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    tested = {number for number in ROWS if any(f"\n@row({number})\n" in text for text in texts)}
    assert tested | LATER.keys() == ROWS.keys()
    assert not tested & LATER.keys()


def _kustomization(folder: Path) -> Document:
    loaded: Document = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    return loaded
