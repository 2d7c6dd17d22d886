"""The overlays that docs/kubernetes.md shows can be copied from there."""

import re
from pathlib import Path
from typing import Final

import pytest

from manifests.references import unresolved
from manifests.rendering import ROOT, copy_with_secrets, render

_SHOWN: Final = re.findall(
    r"```yaml\n# k8s/overlays/([\w-]+)/kustomization\.yaml\n(.*?)```",
    (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8"),
    re.DOTALL,
)


def test_there_are_some() -> None:
    assert [name for name, _ in _SHOWN] == ["shop", "shop-tls", "durable"]


@pytest.mark.parametrize(("name", "text"), _SHOWN, ids=[name for name, _ in _SHOWN])
def test_each_renders_and_fits_together(name: str, text: str, tmp_path: Path) -> None:
    k8s = copy_with_secrets(tmp_path)
    folder = k8s / "overlays" / name
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(text, encoding="utf-8")
    (folder / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    rendered = render(k8s, name)
    assert unresolved(rendered) == []
    consumer, producer = (pod.spec["containers"][0] for pod in rendered.pair)
    if name == "durable":
        assert rendered.producer.workload["kind"] == "StatefulSet"
        assert rendered.settings_of(rendered.producer)["TIDINGS_DATA"] == "/var/lib/tidings"
    elif name == "shop":
        assert consumer["image"] == "registry.example/shop-consumer:7"
        assert consumer["args"] == ["shop.handlers"]
        assert rendered.settings_of(rendered.pair[0])["TIDINGS_GROUP"] == "shop"
    else:
        variable = {"name": "TIDINGS_TLS_CA", "value": "/etc/tidings/ca.crt"}
        assert variable in consumer["env"]
        assert variable in producer["env"]
