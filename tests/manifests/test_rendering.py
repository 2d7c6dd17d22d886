"""Every overlay renders, is valid, fits together, and is understood by the services."""

from base64 import b64decode
from pathlib import Path

import pytest

from common.settings import KNOWN_VARIABLES, Settings, load
from consumer.settings import ConsumerSettings
from manifests.references import unresolved
from manifests.rendering import OVERLAYS, Render, copy_with_secrets, render, run
from ops.env_file import write
from producer.settings import ProducerSettings

_KUBERNETES = ("1.32", "1.37")
_KINDS = {
    "ConfigMap",
    "Deployment",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}


def test_there_are_overlays_for_a_laptop_and_for_a_broker_of_yours() -> None:
    assert {"dev", "byo-broker"} <= set(OVERLAYS)


@pytest.mark.parametrize("version", _KUBERNETES)
def test_every_object_is_valid_and_has_no_unknown_field(
    rendered: Render, version: str, tmp_path: Path
) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(rendered.text, encoding="utf-8")
    printed = run("kubernetes-validate", "--strict", "-k", version, str(file))
    assert printed.count(f"against version {version}\n") == len(rendered.documents), printed


def test_a_misspelt_field_would_be_noticed(rendered: Render, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(rendered.text.replace("minReadySeconds", "minReadySecond"), encoding="utf-8")
    printed = run("kubernetes-validate", "--strict", "-k", _KUBERNETES[0], str(file), codes=(1,))
    assert "minReadySecond" in printed


def test_only_kinds_that_every_cluster_has(rendered: Render) -> None:
    assert {document["kind"] for document in rendered.documents} <= _KINDS


def test_every_reference_leads_somewhere(rendered: Render) -> None:
    assert unresolved(rendered) == []


def test_the_services_understand_every_setting(
    rendered: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMQP_URI", "amqp://user:password@rabbitmq-service:5672/")
    kinds: tuple[type[Settings], ...] = (ConsumerSettings, ProducerSettings)
    for pod, kind in zip(rendered.pair, kinds, strict=True):
        settings = rendered.settings_of(pod)
        assert settings.keys() <= KNOWN_VARIABLES
        with monkeypatch.context() as own:
            for name, value in settings.items():
                own.setenv(name, value)
            loaded = load(kind)
        [port] = pod.spec["containers"][0]["ports"]
        assert loaded.probes_port == port["containerPort"]


def test_without_the_secrets_source_nothing_is_rendered(tmp_path: Path) -> None:
    k8s = copy_with_secrets(tmp_path)
    (k8s / "overlays/dev/.env").unlink()
    with pytest.raises(AssertionError, match=r"\.env: no such file"):
        render(k8s, "dev")


def test_what_make_env_writes_is_the_source_of_the_secret_in_dev(tmp_path: Path) -> None:
    k8s = copy_with_secrets(tmp_path)
    (k8s / "overlays/dev/.env").unlink()
    assert write(k8s / "overlays/dev/.env.example", "s3cret")
    data = render(k8s, "dev").get("Secret", "tidings-broker")["data"]
    assert {key: b64decode(value).decode() for key, value in data.items()} == {
        "RABBITMQ_DEFAULT_USER": "tidings",
        "RABBITMQ_DEFAULT_PASS": "s3cret",
        "AMQP_URI": "amqp://tidings:s3cret@rabbitmq-service:5672/",
    }
