"""Docker as a person at a shell uses it: images, containers, and what they say."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.waiting import until

HARDENED: Final = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--pids-limit=128",
    "--memory=256m",
)
"""The restrictions that compose.yaml and the manifests set; without a writable folder at all."""


@dataclass(frozen=True)
class Ended:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env=environment
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def docker(*arguments: str | Path) -> str:
    """Run docker, which must succeed, and return what it printed."""
    ended = run("docker", *arguments)
    assert ended.code == 0, f"docker {arguments[0]}: {ended.err[-4000:]}"
    return ended.out.strip()


def build(tag: str, folder: Path, *arguments: str, file: str = "Dockerfile") -> str:
    """Build an image and return its tag."""
    docker("build", "--quiet", "--tag", tag, "--file", folder / file, *arguments, folder)
    return tag


def look(image: str) -> Any:
    """Return what the engine knows of an image."""
    return json.loads(docker("image", "inspect", image))[0]


def within(image: str, *command: str, options: tuple[str, ...] = ()) -> Ended:
    """Run a command in a container of the image instead of the service, as hardened as that."""
    entrypoint, *arguments = command
    return run(
        *("docker", "run", "--rm", *HARDENED, *options, "--entrypoint", entrypoint),
        *(image, *arguments),
    )


class Container:
    """A container that runs until the test ends; its output goes to a file as it comes."""

    def __init__(self, name: str, output: Path) -> None:
        self.name = name
        self._output = output

    @property
    def output(self) -> str:
        """Everything it has said so far."""
        return self._output.read_text(encoding="utf-8")

    async def says(self, text: str, *, within: float = 20.0) -> None:
        """Wait until it has said this."""
        await until(lambda: text in self.output, within=within, what=f"it says {text!r}")

    def exec(self, *command: str) -> Ended:
        """Run a command beside the service."""
        return run("docker", "exec", self.name, *command)

    def stop(self) -> int:
        """End it as Docker and Kubernetes do, with SIGTERM; return its exit code."""
        docker("stop", "--time", "45", self.name)
        return int(docker("inspect", "--format", "{{.State.ExitCode}}", self.name))


@contextmanager
def followed(output: Path, *command: str | Path) -> Iterator[None]:
    """Write what a command that goes on and on prints to a file."""
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@contextmanager
def container(
    image: str, *arguments: str, name: str, folder: Path, options: tuple[str, ...] = ()
) -> Iterator[Container]:
    """Start a hardened container; it is removed at the end, with what it was to write."""
    docker("run", "--detach", "--name", name, *HARDENED, *options, image, *arguments)
    output = folder / f"{name}.log"
    try:
        with followed(output, "docker", "logs", "--follow", name):
            yield Container(name, output)
    finally:
        docker("rm", "--force", "--volumes", name)
