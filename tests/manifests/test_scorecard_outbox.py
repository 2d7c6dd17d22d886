"""Rows of the scorecard about a volume for the producer's outbox."""

import copy
from typing import Final

import pytest

from common.settings import load
from manifests.rendering import Document, Pod, Render
from manifests.scorecard import row
from producer.outbox.home import file_of
from producer.settings import ProducerSettings

_MOST: Final = 0.8
"""Part of a volume that events may take: the log and the file system need some, too."""
_UNITS: Final = {"Mi": 2**20, "Gi": 2**30}


@row(39)
def test_no_deployment_has_a_volume_that_only_one_node_may_mount(rendered: Render) -> None:
    """Its new pod starts beside the old one, and would wait for the volume that this one holds."""
    for document in rendered.of("Deployment"):
        volumes = document["spec"]["template"]["spec"].get("volumes", [])
        assert not [v for v in volumes if v.keys() & {"persistentVolumeClaim", "ephemeral"}]
    assert not rendered.of("PersistentVolumeClaim")


@row(39)
def test_a_producer_that_keeps_a_file_has_a_volume_for_each_pod(rendered: Render) -> None:
    data = rendered.settings_of(rendered.producer).get("TIDINGS_DATA")
    if data is None:
        assert rendered.producer.workload["kind"] == "Deployment"
        assert not _claims(rendered.producer)
    else:
        assert rendered.producer.workload["kind"] == "StatefulSet"
        [claim] = _claims(rendered.producer)
        mounts = rendered.producer.spec["containers"][0]["volumeMounts"]
        assert {"name": claim["metadata"]["name"], "mountPath": data} in mounts
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_there_is_an_overlay_of_either_kind(renders: dict[str, Render]) -> None:
    kinds = {name: render.producer.workload["kind"] for name, render in renders.items()}
    assert kinds["dev"] == "StatefulSet"
    assert kinds["byo-broker"] == "Deployment"


@row(40)
def test_the_outbox_is_full_before_its_volume_is(
    dev: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dev.settings_of(dev.producer)
    monkeypatch.setenv("AMQP_URI", "amqp://user:password@rabbitmq-service:5672/")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    loaded = load(ProducerSettings)

    [claim] = _claims(dev.producer)
    assert loaded.outbox_bytes <= _MOST * _bytes(claim["spec"]["resources"]["requests"]["storage"])
    assert "TIDINGS_OUTBOX_BYTES" in settings, "said, since the default knows no volume"
    assert str(file_of(loaded.outbox_home)) == f"{settings['TIDINGS_DATA']}/outbox.db"


@row(30)
def test_unsent_events_outlive_the_stateful_set_and_a_replica_that_is_taken_away(
    dev: Render,
) -> None:
    policy = dev.producer.workload["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}


@row(5)
def test_the_user_of_the_image_may_write_to_the_volume(dev: Render) -> None:
    security = dev.producer.spec["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"] == security["runAsUser"]
    assert security["fsGroupChangePolicy"] == "OnRootMismatch"


@row(36)
def test_no_volume_has_a_label_that_changes_with_a_version(rendered: Render) -> None:
    for pod in rendered.pods:
        for claim in _claims(pod):
            labels = claim["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "tidings"
            assert "app.kubernetes.io/version" not in labels, f"{pod.owner}: cannot be changed"


@row(41)
def test_nothing_else_of_its_pod_differs(renders: dict[str, Render]) -> None:
    """Probes, rights, limits, grace period, labels: all but what the volume needs."""
    template = copy.deepcopy(renders["dev"].producer.workload["spec"]["template"])
    spec = template["spec"]
    for field in ("fsGroup", "fsGroupChangePolicy"):
        del spec["securityContext"][field]
    [container] = spec["containers"]
    container["env"] = [v for v in container["env"] if v["name"] not in {*_OWN}]
    container["volumeMounts"] = [m for m in container["volumeMounts"] if m["name"] != "outbox"]
    assert template == renders["byo-broker"].producer.workload["spec"]["template"]


@row(41)
def test_the_same_selectors_and_rules_apply_to_it(renders: dict[str, Render]) -> None:
    dev, byo = renders["dev"], renders["byo-broker"]
    for field in ("selector", "minReadySeconds", "revisionHistoryLimit", "replicas"):
        assert dev.producer.workload["spec"][field] == byo.producer.workload["spec"][field]
    assert (
        dev.producer.workload["metadata"]["labels"] == byo.producer.workload["metadata"]["labels"]
    )
    for document in dev.of("PodDisruptionBudget", "NetworkPolicy", "Service"):
        if document["metadata"]["name"] == "event-producer":
            assert document["spec"]["selector"] in (
                {"matchLabels": {"app.kubernetes.io/name": "event-producer"}},
                {"app.kubernetes.io/name": "event-producer"},
            )


@row(41)
def test_its_service_only_gives_names(dev: Render) -> None:
    service = dev.get("Service", "event-producer")
    assert service["spec"]["clusterIP"] == "None"
    assert dev.producer.workload["spec"]["serviceName"] == "event-producer"


_OWN: Final = ("TIDINGS_DATA", "TIDINGS_OUTBOX_BYTES")


def _claims(pod: Pod) -> list[Document]:
    claims: list[Document] = pod.workload["spec"].get("volumeClaimTemplates", [])
    return claims


def _bytes(text: str) -> int:
    return int(text[:-2]) * _UNITS[text[-2:]]
