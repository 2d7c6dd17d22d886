"""Images built once for all tests of this folder, from what would be committed and nothing else."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from images.engine import build, docker, run
from ops.docker_broker import docker_available, has_image, pull

ROOT: Final = Path(__file__).parents[2]
BASES: Final = ("python:3.13-slim", "rabbitmq:4-management")


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine with BuildKit, compose and the base images, or a reason to skip."""
    if not docker_available():
        pytest.skip("no Docker engine answers: images are neither built nor tried")
    for plugin in ("buildx", "compose"):
        if run("docker", plugin, "version").code:
            pytest.skip(f"docker {plugin} is missing: images are neither built nor tried")
    for image in BASES:
        if not has_image(image) and not pull(image):
            pytest.skip(f"the image {image} cannot be had: nothing can be built on it")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has or would take: no .venv, no build, no .env."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # else it is deleted, and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def images(engine: None, checkout: Path) -> Iterator[dict[str, str]]:
    """The image of each role, under a tag that nobody else uses."""
    tags = {
        role: f"tidings-{role}:test-{secrets.token_hex(4)}" for role in ("consumer", "producer")
    }
    try:
        for role, tag in tags.items():
            build(
                tag, checkout, *("--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abc123"),
                file=f"Dockerfile.{role}",
            )  # fmt: skip
        yield tags
    finally:
        docker("image", "rm", "--force", *tags.values())


@pytest.fixture
def shop(images: dict[str, str], checkout: Path) -> Iterator[str]:
    """The example of a user's code on top of the consumer's image."""
    tag = f"shop-consumer:test-{secrets.token_hex(4)}"
    yield build(tag, checkout / "examples/shop", "--build-arg", f"IMAGE={images['consumer']}")
    docker("image", "rm", "--force", tag)
