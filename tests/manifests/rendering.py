"""Renders an overlay as `kubectl apply -k` would, and reads the result."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
K8S: Final = ROOT / "k8s"
OVERLAYS: Final = tuple(sorted(path.name for path in (K8S / "overlays").iterdir()))

TOOLS: Final = Path(sys.prefix) / "tools" / "bin"
"""kubectl, kubernetes-validate, checkov and hadolint, apart from what the tests themselves need:
checkov wants older libraries."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod template, under the name of what makes its pods, as in `Deployment/event-consumer`."""

    owner: str
    workload: Document
    labels: dict[str, str]
    spec: Document

    @property
    def name(self) -> str:
        """The workload's name."""
        return self.owner.partition("/")[2]

    @property
    def containers(self) -> list[Document]:
        """All its containers, those that run first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


@dataclass(frozen=True)
class Render:
    """The objects of one overlay."""

    overlay: str
    text: str

    @cached_property
    def documents(self) -> list[Document]:
        """All objects, in the order in which they are applied."""
        return [document for document in yaml.safe_load_all(self.text) if document]

    def of(self, *kinds: str) -> list[Document]:
        """Return the objects of these kinds."""
        return [document for document in self.documents if document["kind"] in kinds]

    def get(self, kind: str, name: str) -> Document:
        """Return the one object of this kind and name; generated names count without their hash."""
        found = [d for d in self.of(kind) if _plain(d["metadata"]["name"], kind) == name]
        assert len(found) == 1, f"{len(found)} of {kind}/{name} in {self.overlay}"
        return found[0]

    @property
    def pods(self) -> list[Pod]:
        """The pod templates of all workloads."""
        return [
            Pod(
                f"{document['kind']}/{document['metadata']['name']}",
                document,
                document["spec"]["template"]["metadata"]["labels"],
                document["spec"]["template"]["spec"],
            )
            for document in self.of("Deployment", "StatefulSet")
        ]

    @property
    def pair(self) -> list[Pod]:
        """The pod templates of consumer and producer, in this order."""
        pair = [pod for pod in self.pods if pod.name.startswith("event-")]
        return sorted(pair, key=lambda pod: pod.name)

    @property
    def producer(self) -> Pod:
        """The pod template of the producer."""
        [pod] = [pod for pod in self.pair if pod.name == "event-producer"]
        return pod

    @property
    def broker(self) -> Pod:
        """The pod template of the broker, in an overlay that has one."""
        [pod] = [pod for pod in self.pods if pod.owner == "StatefulSet/rabbitmq"]
        return pod

    @property
    def containers(self) -> Iterator[tuple[str, Document]]:
        """Every container, with a name for messages."""
        for pod in self.pods:
            for container in pod.containers:
                yield f"{pod.owner}/{container['name']}", container

    def settings_of(self, pod: Pod) -> dict[str, str]:
        """Return the variables of the pod's first container, but for those out of Secrets."""
        container = pod.spec["containers"][0]
        names = [
            source["configMapRef"]["name"]
            for source in container.get("envFrom", [])
            if "configMapRef" in source
        ]
        maps = [d for d in self.of("ConfigMap") if d["metadata"]["name"] in names]
        own = {v["name"]: v["value"] for v in container.get("env", []) if "value" in v}
        return {key: value for document in maps for key, value in document["data"].items()} | own


def copy_with_secrets(folder: Path) -> Path:
    """Copy k8s/ to `folder`, with the examples as the Secrets' sources, which git does not have."""
    target = folder / "k8s"
    shutil.copytree(K8S, target, ignore=lambda _, names: [n for n in names if n == ".env"])
    for example in target.rglob(".env.example"):
        shutil.copy(example, example.with_name(".env"))
    return target


def render(k8s: Path, overlay: str) -> Render:
    """Render an overlay of a copy of k8s/."""
    return Render(overlay, run("kubectl", "kustomize", str(k8s / "overlays" / overlay)))


def run(tool: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a tool, in the repository's root; fails, with what it printed, on another exit code."""
    environment = os.environ | {"PATH": f"{TOOLS}:{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"}
    path = shutil.which(tool, path=environment["PATH"])
    assert path, f"{tool} is not installed: `make manifests` installs it"
    done = subprocess.run(
        [path, *arguments], capture_output=True, text=True, env=environment, check=False, cwd=ROOT
    )
    assert done.returncode in codes, f"{tool} exits {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def _plain(name: str, kind: str) -> str:
    return name.rpartition("-")[0] if kind == "ConfigMap" else name
