"""A contestant's process, in a process group of its own, which ends with its `with` block."""

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.contestants import ROOT
from ops.broker_handle import Guard

GRACE_SECONDS = 5.0
SEND_SECONDS = 30.0


class Service:
    """Started at once; what it says goes to the end of a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=surroundings(environment),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        # When this process is killed, too: some peers start workers that die again, for ever.
        self._guard = Guard('kill -s KILL -- "-$1"', str(self._process.pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, as a supervisor does, and kill it if it does not."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        self._guard.clean_up()  # before the wait: until then nobody else can have its number
        self._process.wait()


def send(command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run a publisher to its end. Raises CalledProcessError and TimeoutExpired."""
    with log.open("ab") as said:
        subprocess.run(
            command,
            cwd=ROOT,
            env=surroundings(environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            check=True,
            timeout=SEND_SECONDS,
        )


def surroundings(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process' environment without what would change a contestant's defaults."""
    foreign = ("TIDINGS_", "CELERY", "DRAMATIQ", "dramatiq_", "AMQP_")
    mine = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**mine, "PYTHONPATH": str(ROOT), **more}
