"""Rows of the scorecard about what a pod may do and what it takes."""

import pytest

from manifests.rendering import Document, Render
from manifests.scorecard import row

_QUIET = {"emptyDir", "configMap", "secret", "projected", "downwardAPI", "persistentVolumeClaim"}


@row(1)
def test_no_container_may_be_root_and_each_user_is_a_number(rendered: Render) -> None:
    for pod in rendered.pods:
        security = pod.spec["securityContext"]
        assert security["runAsNonRoot"] is True, pod.owner
        assert isinstance(security["runAsUser"], int), pod.owner
        assert security["runAsUser"] > 0 < security["runAsGroup"], pod.owner
        for container in pod.containers:
            own = container["securityContext"]
            assert not own.keys() & {"runAsNonRoot", "runAsUser", "runAsGroup", "privileged"}


@row(1)
def test_the_pair_runs_as_the_user_of_its_images(rendered: Render) -> None:
    assert [pod.spec["securityContext"]["runAsUser"] for pod in rendered.pair] == [10001, 10001]


@row(2)
def test_every_pod_has_the_seccomp_profile_of_the_runtime(rendered: Render) -> None:
    for pod in rendered.pods:
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.containers:
            assert "seccompProfile" not in container["securityContext"]


@row(3)
def test_no_container_may_gain_privileges(rendered: Render) -> None:
    for name, security in _security(rendered):
        assert security["allowPrivilegeEscalation"] is False, name


@row(4)
def test_every_container_drops_all_capabilities_and_adds_none(rendered: Render) -> None:
    for name, security in _security(rendered):
        assert security["capabilities"] == {"drop": ["ALL"]}, name


@row(5)
def test_every_root_file_system_is_read_only(rendered: Render) -> None:
    for name, security in _security(rendered):
        assert security["readOnlyRootFilesystem"] is True, name


@row(5)
def test_every_folder_that_may_be_written_has_a_bound(rendered: Render) -> None:
    for pod in rendered.pods:
        for volume in pod.spec.get("volumes", []):
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": None}), volume["name"]
        for container in pod.containers:
            assert "ephemeral-storage" in container["resources"]["limits"], pod.owner


@row(8)
def test_no_pod_asks_for_what_the_restricted_profile_forbids(rendered: Render) -> None:
    for pod in rendered.pods:
        assert not pod.spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "hostAliases"}
        for volume in pod.spec.get("volumes", []):
            assert volume.keys() - {"name"} <= _QUIET, f"{pod.owner}: {volume['name']}"
        for container in pod.containers:
            assert not any("hostPort" in port for port in container["ports"]), pod.owner


@row(6)
def test_no_pod_has_a_token_of_the_api_server(rendered: Render) -> None:
    for pod in rendered.pods:
        assert pod.spec["automountServiceAccountToken"] is False, pod.owner
        account = rendered.get("ServiceAccount", pod.spec["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False, pod.owner


@row(6)
def test_each_workload_has_an_account_of_its_own_and_no_rights(rendered: Render) -> None:
    accounts = [pod.spec["serviceAccountName"] for pod in rendered.pods]
    assert len(set(accounts)) == len(accounts)
    assert not rendered.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


@row(7)
def test_no_service_becomes_variables_of_a_pod(rendered: Render) -> None:
    for pod in rendered.pods:
        assert pod.spec["enableServiceLinks"] is False, pod.owner


@row(8)
@pytest.mark.parametrize("mode", ["enforce", "audit", "warn"])
def test_the_namespace_refuses_pods_that_are_not_restricted(rendered: Render, mode: str) -> None:
    labels = rendered.get("Namespace", "tidings")["metadata"]["labels"]
    assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
    assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "latest"


@row(23)
def test_memory_is_asked_for_in_full_and_cpu_is_not_throttled(rendered: Render) -> None:
    for name, container in rendered.containers:
        requests, limits = (container["resources"][which] for which in ("requests", "limits"))
        assert requests["cpu"], name
        assert requests["memory"] == limits["memory"], name
        assert "cpu" not in limits, f"{name}: a throttled loop misses heartbeats"


@row(36)
def test_every_object_of_ours_has_the_recommended_labels(rendered: Render) -> None:
    for document in rendered.of("Deployment", "StatefulSet", "ServiceAccount", "Service"):
        for labels in _labels(document):
            wanted = {"name", "component", "part-of", "managed-by"}
            assert wanted <= {key.removeprefix("app.kubernetes.io/") for key in labels}
            assert labels["app.kubernetes.io/part-of"] == "tidings"
    for document in rendered.documents:
        if document["kind"] != "Namespace":
            [labels, *_] = _labels(document)
            assert labels["app.kubernetes.io/part-of"] == "tidings", document["metadata"]["name"]


@row(36)
def test_no_selector_holds_a_label_that_changes_with_a_version(rendered: Render) -> None:
    for pod in rendered.pods:
        selector = pod.workload["spec"]["selector"]["matchLabels"]
        assert selector.keys() <= {"app.kubernetes.io/name", "app.kubernetes.io/component"}


def _security(rendered: Render) -> list[tuple[str, Document]]:
    return [(name, container["securityContext"]) for name, container in rendered.containers]


def _labels(document: Document) -> list[dict[str, str]]:
    found = [document["metadata"]["labels"]]
    if template := document["spec"].get("template") if "spec" in document else None:
        found.append(template["metadata"]["labels"])
    return found
