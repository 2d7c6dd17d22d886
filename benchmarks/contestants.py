"""Who takes part, and how each is installed below build/bench/."""

import ast
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.version import VERSION

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS: Final = Path(__file__).resolve().parent / "peers"
BUILD: Final = ROOT / "build" / "bench"
INSTALL_SECONDS: Final = 600


class NotInstalled(Exception):
    """A contestant cannot take part; says why in a few words."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program below `peers/`, and which measures its library has something for."""

    name: str
    queue: str
    awaits: bool = False
    """Its handlers may be coroutine functions."""
    window: bool = False
    """It can have several publishes in flight."""
    retries: bool = False
    """It can try an event again after a delay by itself."""

    @property
    def source(self) -> Path:
        """The file whose beginning states its settings."""
        ending = "c" if self.name == "c" else "py"
        return PEERS / f"{self.name.replace('-', '_')}.{ending}"

    @property
    def command(self) -> tuple[str, ...]:
        """How it is run; a sub-command follows."""
        if self.name == "c":
            return (str(BUILD / "c" / "client"),)
        python = Path(sys.executable) if self.name == "tidings" else self._folder / "bin" / "python"
        return (str(python), "-m", f"benchmarks.peers.{self.source.stem}")

    @property
    def version(self) -> str:
        """What is measured, as in `pika 1.4.4`."""
        if self.name == "tidings":
            return f"Tidings {VERSION}"
        if self.name == "c":
            asked = subprocess.run(
                [*self.command, "version"], capture_output=True, text=True, check=False
            )
            return f"librabbitmq {asked.stdout.strip() or '(not installed)'}"
        pins = self._requirements.read_text(encoding="utf-8").split()
        return ", ".join(pin.replace("==", " ") for pin in pins)

    @property
    def settings(self) -> str:
        """Its settings, from the beginning of its file."""
        text = self.source.read_text(encoding="utf-8")
        if self.name == "c":
            said = text.removeprefix("/*").partition("*/")[0]
        else:
            said = ast.get_docstring(ast.parse(text)) or ""
        return said.partition("\n\n")[2].strip()

    def install(self) -> None:
        """Install it, unless that is done. Raises NotInstalled."""
        if self.name == "tidings":
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.name == "c":
            _compile(self.source, self._folder)
            return
        stamp, wanted = self._folder / ".installed", self._requirements.read_text(encoding="utf-8")
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        print(f"installing {self.name}", flush=True)
        python = str(self._folder / "bin" / "python")
        quiet = ("--disable-pip-version-check", "--quiet")
        _run(sys.executable, "-m", "venv", "--clear", str(self._folder))
        _run(python, "-m", "pip", *quiet, "install", "-r", str(self._requirements))
        stamp.write_text(wanted, encoding="utf-8")

    @property
    def _folder(self) -> Path:
        return BUILD / self.name

    @property
    def _requirements(self) -> Path:
        return PEERS / f"{self.name}.txt"


OURS: Final = "tidings"
ALL: Final = (
    Contestant(OURS, "bench-tidings", awaits=True, window=True, retries=True),
    Contestant("c", "bench-c", window=True),
    Contestant("aio-pika", "bench-aio-pika", awaits=True, window=True),
    Contestant("faststream", "bench-faststream", awaits=True, window=True),
    Contestant("celery", "bench-celery", retries=True),
    Contestant("dramatiq", "bench-dramatiq", retries=True),
    Contestant("taskiq", "bench-taskiq", awaits=True, window=True, retries=True),
    Contestant("pika", "bench-pika", window=True),
    Contestant("kombu", "bench-kombu"),
)


def _compile(source: Path, folder: Path) -> None:
    client = folder / "client"
    if client.exists() and client.stat().st_mtime > source.stat().st_mtime:
        return
    compiler = shutil.which("cc")
    header = Path("/usr/include/amqp.h")
    can_install = shutil.which("apt-get") is not None and os.geteuid() == 0
    if not (compiler and header.exists()) and can_install:
        print("installing librabbitmq-dev with apt-get", flush=True)
        packages = ("librabbitmq-dev", "gcc", "libc6-dev")
        _run("apt-get", "-qq", "update")
        _run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages)
    _run("cc", "-O2", "-Wall", "-o", str(client), str(source), "-lrabbitmq")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except OSError as error:
        raise NotInstalled(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"{command[0]} took longer than {INSTALL_SECONDS} s") from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        raise NotInstalled((*errors, *lines[-1:], f"{command[0]} failed")[0][:100])
