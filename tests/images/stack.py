"""A whole compose project of a test's own: broker, producer, consumers."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images.engine import Ended, followed, run
from ops import env_file
from ops.broker_handle import USER, free_ports, new_password


class Stack:
    """compose.yaml of a checkout, under a name, ports and a password of its own."""

    def __init__(self, checkout: Path, folder: Path, *overrides: Path) -> None:
        self.name = f"tidings-test-{secrets.token_hex(4)}"
        self._files = (checkout / "compose.yaml", *overrides)
        amqp, management = free_ports(2)
        password = new_password()
        self.uri = f"amqp://{USER}:{password}@127.0.0.1:{amqp}/"
        example = folder / ".env.example"
        shutil.copy(checkout / ".env.example", example)
        assert env_file.write(example, password)
        self._env_file = env_file.target_of(example)
        with self._env_file.open("a", encoding="utf-8") as file:
            file.write(f"BROKER_PORT={amqp}\nMANAGEMENT_PORT={management}\n")

    def compose(self, *arguments: str) -> Ended:
        """Run docker compose to its end."""
        # The shell's variables win over the file's, and are not this test's.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BROKER_")}
        return run(*self._command, *arguments, environment=kept)

    def up(self, *arguments: str) -> None:
        """Start, or scale, and return when all are healthy."""
        command = ("up", "--detach", "--no-build", "--pull=never", "--wait", "--wait-timeout=120")
        ended = self.compose(*command, *arguments)
        assert ended.code == 0, ended.err + self.compose("logs", "--tail=20").out

    def config(self) -> Any:
        """The file as compose reads it."""
        return json.loads(self.compose("config", "--format=json").out)

    @contextmanager
    def says(self, service: str, output: Path) -> Iterator[None]:
        """Write what a service's containers say to a file."""
        with followed(output, *self._command, "logs", "--follow", "--no-log-prefix", service):
            yield

    @contextmanager
    def deaths(self, output: Path) -> Iterator[None]:
        """Write name and exit code of each container that ends to a file."""
        only = (f"--filter=label=com.docker.compose.project={self.name}", "--filter=event=die")
        what = "--format={{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}"
        with followed(output, "docker", "events", *only, what):
            yield

    @property
    def _command(self) -> tuple[str | Path, ...]:
        return (
            *("docker", "compose", "--project-name", self.name, "--env-file", self._env_file),
            *(f"--file={file}" for file in self._files),
        )


@contextmanager
def stack(
    checkout: Path, folder: Path, images: dict[str, str], more: dict[str, Any] | None = None
) -> Iterator[Stack]:
    """A project that runs these images; it is removed at the end, with its volume.

    `more` is merged over the consumer of compose.yaml.
    """
    services: dict[str, dict[str, Any]] = {role: {"image": tag} for role, tag in images.items()}
    services["consumer"] |= more or {}
    override = folder / "override.json"  # JSON is YAML
    override.write_text(json.dumps({"services": services}), encoding="utf-8")
    project = Stack(checkout, folder, override)
    try:
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout=1")
