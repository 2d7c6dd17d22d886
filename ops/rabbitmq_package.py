"""Finds the `rabbitmq-server` program, or installs it where that is possible without asking."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from common.errors import BrokerUnavailable

_PACKAGED: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's rabbitmq-server on PATH is a wrapper that changes the user; this is what it calls."""

_POLICY: Final = Path("/usr/sbin/policy-rc.d")
"""Debian's packages ask this program whether they may start their services; 101 is a no."""

_REMEDY: Final = "no RabbitMQ here: start Docker, install rabbitmq-server, or set AMQP_URI"


def find_rabbitmq_server() -> Path | None:
    """Return the program that starts a broker as the user that we are."""
    if _PACKAGED.exists():
        return _PACKAGED
    found = shutil.which("rabbitmq-server") or shutil.which("/usr/sbin/rabbitmq-server")
    return Path(found) if found else None


def install_rabbitmq_server() -> Path:
    """Install the package with apt-get, as root, without a system broker coming to life.

    Raises BrokerUnavailable where that cannot be.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BrokerUnavailable(_REMEDY)
    print("installing rabbitmq-server with apt-get, without starting it", flush=True)
    with _services_stay_stopped():
        _apt_get("update")
        _apt_get("install", "--yes", "--no-install-recommends", "rabbitmq-server")
    if shutil.which("systemctl"):  # nor at the next boot; fails where systemd does not run, rightly
        subprocess.run(
            ["systemctl", "disable", "rabbitmq-server.service", "epmd.service", "epmd.socket"],
            capture_output=True,
            check=False,
        )
    if (server := find_rabbitmq_server()) is None:
        raise BrokerUnavailable(_REMEDY)
    return server


def _apt_get(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "-qq", *arguments],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        raise BrokerUnavailable(f"apt-get {arguments[0]} failed ({last}); {_REMEDY}")


@contextlib.contextmanager
def _services_stay_stopped() -> Iterator[None]:
    if _POLICY.exists():  # the machine has a policy of its own; containers' usually says no as well
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
