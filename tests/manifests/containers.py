"""Runs a rendered pod's container with Docker, as near to what a cluster does as it gets."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from manifests.rendering import Document, Pod, Render, run


class Container:
    """The first container of a pod of one replica; `name` is also its Docker name."""

    def __init__(self, render: Render, pod: Pod, name: str, folder: Path) -> None:
        """Write what it mounts to `folder`, and make a Docker volume per claim."""
        self.name = name
        self._render = render
        self._pod = pod
        self._folder = folder
        [self._spec] = pod.containers

    def start(self) -> None:
        """Start it: same user, rights, limits, variables, files and host name as in a cluster."""
        security = self._pod.spec["securityContext"]
        user = f"{security['runAsUser']}:{security['runAsGroup']}"
        memory = self._spec["resources"]["limits"]["memory"].replace("Gi", "g").replace("Mi", "m")
        run(
            *("docker", "run", "--detach", "--name", self.name, "--user", user),
            *("--hostname", f"{self._pod.workload['metadata']['name']}-0"),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--memory", memory, "--memory-swap", memory, "--label", "tidings.local-broker"),
            *(a for port in self._spec["ports"] for a in _publish(port["containerPort"])),
            *(a for mount in self._spec["volumeMounts"] for a in self._mount(mount)),
            *(a for variable in self._spec["env"] for a in self._variable(variable)),
            self._spec["image"],
        )

    def address(self, port: str) -> str:
        """Return host and port at which a named port is reached from here."""
        [number] = [p["containerPort"] for p in self._spec["ports"] if p["name"] == port]
        return run("docker", "port", self.name, f"{number}/tcp").split()[0]

    def execute(self, *command: str) -> str:
        """Run a command inside; return what it prints."""
        return run("docker", "exec", self.name, *command)

    def stop(self) -> int:
        """Stop it with the pod's grace period, and remove it; return its exit code."""
        run("docker", "stop", "-t", str(self._pod.spec["terminationGracePeriodSeconds"]), self.name)
        state: list[Any] = json.loads(run("docker", "inspect", self.name))
        run("docker", "rm", self.name)
        return int(state[0]["State"]["ExitCode"])

    def remove(self) -> None:
        """Leave nothing behind, whatever has happened."""
        for command in ("rm --force", "volume rm --force"):
            subprocess.run(
                ["docker", *command.split(), self.name], capture_output=True, check=False
            )

    def _mount(self, mount: Document) -> list[str]:
        path = mount["mountPath"]
        volumes = {volume["name"]: volume for volume in self._pod.spec["volumes"]}
        volume = volumes.get(mount["name"])
        if volume is None:  # of a claim; fsGroup makes it writable, and so do we
            group = self._pod.spec["securityContext"]["fsGroup"]
            own = f"chown root:{group} /v && chmod 2775 /v"
            shell = ("--user", "0:0", "--entrypoint", "sh", self._spec["image"], "-c", own)
            run("docker", "run", "--rm", "--volume", f"{self.name}:/v", *shell)
            return ["--volume", f"{self.name}:{path}"]
        if "emptyDir" in volume:
            size = volume["emptyDir"]["sizeLimit"].removesuffix("i").lower()
            return ["--tmpfs", f"{path}:mode=1777,size={size}"]
        source = self._folder / mount["name"]
        source.mkdir(exist_ok=True)
        [found] = [
            document
            for document in self._render.of("ConfigMap")
            if document["metadata"]["name"] == volume["configMap"]["name"]
        ]
        for key, text in found["data"].items():
            (source / key).write_text(text, encoding="utf-8")
            (source / key).chmod(0o644)
        source.chmod(0o755)
        return ["--volume", f"{source / mount.get('subPath', '')}:{path}:ro"]

    def _variable(self, variable: Document) -> list[str]:
        reference = variable["valueFrom"]["secretKeyRef"]
        secret = self._render.get("Secret", reference["name"])["data"][reference["key"]]
        return ["--env", f"{variable['name']}={base64.b64decode(secret).decode()}"]


def _publish(port: int) -> list[str]:
    return ["--publish", f"127.0.0.1::{port}"]
