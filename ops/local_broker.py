"""A private RabbitMQ broker: a process of ours with its own data, ports, node name and epmd.

For `make run` and the tests. It touches nothing of a RabbitMQ that the machine may run already.
"""

import os
import secrets
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from common.errors import BrokerUnavailable
from ops.broker_handle import (
    USER,
    BrokerHandle,
    Guard,
    free_ports,
    new_password,
    wait_until_serving,
)
from ops.docker_broker import DockerBroker, docker_available, has_image, pull
from ops.rabbitmq_package import find_rabbitmq_server, install_rabbitmq_server

IMAGE: Final = "rabbitmq:4-management"

_CONFIGURATION: Final = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
default_user = {user}
default_pass = {password}
"""

# rm fails while beam, killed a moment ago, still writes. Beam's own helpers end when it does.
_CLEAN_UP: Final = 'kill -s KILL -- "-$1"; until rm -rf -- "$2"; do sleep 0.05; done'


class PrivateBroker:
    """A `rabbitmq-server` that runs as the user that we are, on 127.0.0.1 only."""

    def __init__(self, server: Path) -> None:
        """Start it and wait until it serves."""
        self._server = server
        self._folder = Path(tempfile.mkdtemp(prefix="tidings-broker-"))
        amqp, management, distribution, names = free_ports(4)
        password = new_password()
        self.amqp_uri = f"amqp://{USER}:{password}@127.0.0.1:{amqp}/"
        self.management_uri = f"http://{USER}:{password}@127.0.0.1:{management}"
        self._write_configuration(amqp=amqp, management=management, password=password)
        self._environment = self._make_environment(distribution=distribution, names=names)
        # Erlang's name server, which beam would start as a daemon that outlives it. Ours leads the
        # process group that the guard ends, so it lives as long as the broker may be started again.
        self._epmd = subprocess.Popen(
            ["epmd"], env=self._environment, stdin=subprocess.DEVNULL, process_group=0
        )
        self._guard = Guard(_CLEAN_UP, str(self._epmd.pid), str(self._folder))
        try:
            self.start()
        except BrokerUnavailable:
            self.remove()
            raise

    def start(self) -> None:
        """Start again on the same ports and data, and wait until it serves."""
        with (self._folder / "console.log").open("ab") as console:
            self._beam = subprocess.Popen(
                [self._server],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                process_group=self._epmd.pid,
            )
        self.version = wait_until_serving(self.amqp_uri, self.management_uri)

    @property
    def describe(self) -> str:
        """What runs where, in a few words for a banner."""
        return f"RabbitMQ {self.version}, private process {self._beam.pid}"

    def stop(self) -> None:
        """Shut down as an administrator would; data stays."""
        self._beam.terminate()
        self._beam.wait(timeout=60)

    def kill(self) -> None:
        """Die like on a power cut; data stays."""
        self._beam.kill()
        self._beam.wait(timeout=10)

    def pause(self) -> None:
        """Freeze: connections stay open and nothing answers."""
        self._beam.send_signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """Go on after a pause."""
        self._beam.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it whatever its state, and leave no process and no file."""
        self.kill()
        self._epmd.kill()
        self._epmd.wait(timeout=10)
        self._guard.clean_up()

    def _write_configuration(self, *, amqp: int, management: int, password: str) -> None:
        text = _CONFIGURATION.format(amqp=amqp, management=management, user=USER, password=password)
        (self._folder / "rabbitmq.conf").write_text(text, encoding="utf-8")
        (self._folder / "advanced.config").write_text("[].\n", encoding="utf-8")
        (self._folder / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="utf-8")

    def _make_environment(self, *, distribution: int, names: int) -> dict[str, str]:
        """Name every file and port, so that nothing of the machine's own RabbitMQ is used."""
        folder = self._folder
        foreign = ("RABBITMQ_", "ERL_")
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(foreign)
        }
        return inherited | {
            "HOME": str(folder),  # for the Erlang cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes beam instead of waiting for it ...
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"tidings-{secrets.token_hex(4)}@localhost",
            # ... but takes no input all the same. Other nodes are met on 127.0.0.1 only.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-noinput -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def find_or_start_broker() -> BrokerHandle:
    """Start a broker in Docker if that is there, else as a private process (installs it)."""
    if docker_available() and (has_image(IMAGE) or pull(IMAGE)):
        return DockerBroker(IMAGE)
    return PrivateBroker(find_rabbitmq_server() or install_rabbitmq_server())
