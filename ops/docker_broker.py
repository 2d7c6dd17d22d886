"""A RabbitMQ broker in a Docker container, steered with the docker command."""

import secrets
import shutil
import subprocess

from common.errors import BrokerUnavailable
from ops.broker_handle import (
    USER,
    Guard,
    free_ports,
    new_password,
    wait_until_serving,
)


class DockerBroker:
    """A container on fixed ports of 127.0.0.1, which it keeps when it is stopped and started."""

    def __init__(self, image: str) -> None:
        """Start it and wait until it serves."""
        self._image = image
        self._name = f"tidings-broker-{secrets.token_hex(4)}"
        amqp, management = free_ports(2)
        password = new_password()
        self.amqp_uri = f"amqp://{USER}:{password}@127.0.0.1:{amqp}/"
        self.management_uri = f"http://{USER}:{password}@127.0.0.1:{management}"
        self._guard = Guard('docker rm --force --volumes "$1"', self._name)
        try:
            _docker(
                *("run", "--detach", "--name", self._name, "--label", "tidings.local-broker"),
                *("--hostname", "tidings-broker"),  # the node's name, and so its data, hang on it
                *(
                    "--publish",
                    f"127.0.0.1:{amqp}:5672",
                    "--publish",
                    f"127.0.0.1:{management}:15672",
                ),
                *(
                    "--env",
                    f"RABBITMQ_DEFAULT_USER={USER}",
                    "--env",
                    f"RABBITMQ_DEFAULT_PASS={password}",
                ),
                image,
            )
            self._wait()
        except BrokerUnavailable:
            self.remove()
            raise

    @property
    def describe(self) -> str:
        """What runs where, in a few words for a banner."""
        return f"RabbitMQ {self.version}, Docker container {self._name} of {self._image}"

    def start(self) -> None:
        """Start again on the same ports and data, and wait until it serves."""
        _docker("start", self._name)
        self._wait()

    def stop(self) -> None:
        """Shut down as an administrator would; data stays."""
        _docker("stop", "-t", "60", self._name)

    def kill(self) -> None:
        """Die like on a power cut; data stays."""
        _docker("kill", self._name)

    def pause(self) -> None:
        """Freeze: connections stay open and nothing answers."""
        _docker("pause", self._name)

    def unpause(self) -> None:
        """Go on after a pause."""
        _docker("unpause", self._name)

    def remove(self) -> None:
        """End it whatever its state, and leave no container and no volume."""
        self._guard.clean_up()

    def _wait(self) -> None:
        self.version = wait_until_serving(self.amqp_uri, self.management_uri)


def docker_available() -> bool:
    """Tell whether there is a docker command and an engine behind it that answers."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def has_image(image: str) -> bool:
    """Tell whether a container of the image can be started without a download."""
    asked = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    return asked.returncode == 0


def pull(image: str) -> bool:
    """Fetch the image, which takes a while; False if it cannot be had."""
    print(f"fetching the image {image}", flush=True)
    return (
        subprocess.run(
            ["docker", "pull", "--quiet", image], capture_output=True, check=False
        ).returncode
        == 0
    )


def _docker(*arguments: str) -> None:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BrokerUnavailable(f"docker {arguments[0]} failed: {done.stderr.strip()}")
