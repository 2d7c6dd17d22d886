"""What one object says of another one must be so: names, keys, ports and selectors."""

from collections.abc import Iterator
from typing import Any

from manifests.rendering import Document, Pod, Render


def unresolved(render: Render) -> list[str]:
    """Return a line for each reference that leads nowhere."""
    return [
        line
        for check in (_namespaces, _pods, _selectors, _services, _stateful_sets, _policies)
        for line in check(render)
    ]


def _namespaces(render: Render) -> Iterator[str]:
    """Check that each object is in the namespace, and that it is made here."""
    made = {document["metadata"]["name"] for document in render.of("Namespace")}
    for document in render.documents:
        wanted = document["metadata"].get("namespace")
        if document["kind"] != "Namespace" and wanted not in made:
            yield f"{_name(document)}: there is no Namespace {wanted}"


def _pods(render: Render) -> Iterator[str]:
    for pod in render.pods:
        yield from _accounts(render, pod)
        yield from _volumes(render, pod)
        for container in pod.containers:
            where = f"{pod.owner}/{container['name']}"
            yield from _variables(render, where, container)
            yield from _probes(where, container)


def _accounts(render: Render, pod: Pod) -> Iterator[str]:
    wanted = pod.spec.get("serviceAccountName", "default")
    if wanted not in _names(render, "ServiceAccount"):
        yield f"{pod.owner}: there is no ServiceAccount {wanted}"


def _volumes(render: Render, pod: Pod) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    claims = {c["metadata"]["name"] for c in pod.workload["spec"].get("volumeClaimTemplates", [])}
    for name, volume in volumes.items():
        for kind, field, key in (
            ("ConfigMap", "configMap", "name"),
            ("Secret", "secret", "secretName"),
        ):
            if field in volume and volume[field][key] not in _names(render, kind):
                yield f"{pod.owner}: volume {name}: there is no {kind} {volume[field][key]}"
    mounted = set()
    for container in pod.containers:
        for mount in container.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in {*volumes, *claims}:
                yield f"{pod.owner}: mounts {mount['name']}, which is no volume"
            yield from _sub_path(render, pod, volumes.get(mount["name"], {}), mount)
    yield from (
        f"{pod.owner}: nobody mounts {name}" for name in sorted({*volumes, *claims} - mounted)
    )


def _sub_path(render: Render, pod: Pod, volume: Document, mount: Document) -> Iterator[str]:
    if "subPath" in mount and "configMap" in volume:
        name = volume["configMap"]["name"]
        if mount["subPath"] not in _keys(render, "ConfigMap", name):
            yield f"{pod.owner}: ConfigMap {name} has no key {mount['subPath']}"


def _variables(render: Render, where: str, container: Document) -> Iterator[str]:
    for source in container.get("envFrom", []):
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if field in source and source[field]["name"] not in _names(render, kind):
                yield f"{where}: there is no {kind} {source[field]['name']}"
    for variable in container.get("env", []):
        for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            reference = variable.get("valueFrom", {}).get(field)
            if reference and reference["key"] not in _keys(render, kind, reference["name"]):
                what = f"{kind} {reference['name']} with a key {reference['key']}"
                yield f"{where}: {variable['name']}: there is no {what}"


def _probes(where: str, container: Document) -> Iterator[str]:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        for action in ("httpGet", "tcpSocket"):
            port = container.get(probe, {}).get(action, {}).get("port")
            if port is not None and port not in _ports(container):
                yield f"{where}: {probe}: the container has no port {port}"


def _selectors(render: Render) -> Iterator[str]:
    for pod in render.pods:
        if not _selects(pod.workload["spec"]["selector"], pod.labels):
            yield f"{pod.owner}: its selector does not select its own pods"
        for other in render.pods:
            if other.owner != pod.owner and _selects(
                pod.workload["spec"]["selector"], other.labels
            ):
                yield f"{pod.owner}: its selector also selects the pods of {other.owner}"
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not _selects(constraint["labelSelector"], pod.labels):
                yield f"{pod.owner}: spreads other pods than its own"
    for budget in render.of("PodDisruptionBudget"):
        if not _selected(render, budget["spec"]["selector"]):
            yield f"{_name(budget)}: selects no pods"


def _services(render: Render) -> Iterator[str]:
    for service in render.of("Service"):
        pods = _selected(render, {"matchLabels": service["spec"]["selector"]})
        if not pods:
            yield f"{_name(service)}: selects no pods"
        for pod in pods:
            open_ = {port for container in pod.containers for port in _ports(container)}
            for port in service["spec"]["ports"]:
                if (target := port.get("targetPort", port["port"])) not in open_:
                    yield f"{_name(service)}: {pod.owner} has no port {target}"


def _stateful_sets(render: Render) -> Iterator[str]:
    for document in render.of("StatefulSet"):
        if (wanted := document["spec"]["serviceName"]) not in _names(render, "Service"):
            yield f"{_name(document)}: there is no Service {wanted}"


def _policies(render: Render) -> Iterator[str]:
    """Check that policies select pods, and open ports that these have."""
    for policy in render.of("NetworkPolicy"):
        spec = policy["spec"]
        own = _selected(render, spec["podSelector"])
        if not own:
            yield f"{_name(policy)}: selects no pods"
        for rule in spec.get("ingress", []):
            yield from _closed(_name(policy), own, rule.get("ports", []))
        rules = [*((r, "from") for r in spec.get("ingress", []))]
        rules += [(r, "to") for r in spec.get("egress", [])]
        for rule, side in rules:
            for peer in rule.get(side, []):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    pods = _selected(render, peer["podSelector"])
                    if not pods:
                        yield f"{_name(policy)}: {side} selects no pods"
                    if side == "to":
                        yield from _closed(_name(policy), pods, rule.get("ports", []))


def _closed(name: str, pods: list[Pod], ports: list[Document]) -> Iterator[str]:
    for pod in pods:
        open_ = {port for container in pod.containers for port in _ports(container)}
        for port in ports:
            if port["port"] not in open_:
                yield f"{name}: {pod.owner} has no port {port['port']}"


def _selected(render: Render, selector: Document) -> list[Pod]:
    return [pod for pod in render.pods if _selects(selector, pod.labels)]


def _selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a selector selects what has the labels; of expressions, only `In` is known."""
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", "only In is used here"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


def _ports(container: Document) -> set[Any]:
    ports = container.get("ports", [])
    return {port["containerPort"] for port in ports} | {port.get("name") for port in ports} - {None}


def _names(render: Render, kind: str) -> set[str]:
    return {document["metadata"]["name"] for document in render.of(kind)}


def _keys(render: Render, kind: str, name: str) -> set[str]:
    return {
        key
        for document in render.of(kind)
        if document["metadata"]["name"] == name
        for key in (*document.get("data", {}), *document.get("stringData", {}))
    }


def _name(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"
