"""A contestant's process: started on its core, listened to, and ended."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.contestants import ROOT
from benchmarks.cores import pinned

REASON_LENGTH = 80


class Failed(Exception):
    """A measure of a contestant has no result; says why in a few words."""


class Process:
    """Use it with `with`: the process, and what it has started, do not outlive the block."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int | None,
        log: Path,
        environment: Mapping[str, str],
        log_events: Collection[str] = (),
        told: bool = False,
    ) -> None:
        """Start it. What it says other than results goes to `log`.

        `log_events`: lines of its JSON log that are results, too. `told`: it reads its stdin.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_path = log
        self._log: IO[bytes] = log.open("wb")
        self._events = [f'"event":"{name}"'.encode() for name in log_events]
        self._said: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with pinned(core):
            self.started_ns = time.time_ns()
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE if told else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=5)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._log.close()

    def wait_for(self, what: str, *, within: float) -> dict[str, Any]:
        """Return the next result of this name. Raises Failed when it ends, or is late."""
        deadline = time.monotonic() + within
        while True:
            try:
                said = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed(f"not done within {within:.0f} s") from None
            if said is None:
                raise Failed(self._reason())
            if said["bench"] == what:
                return said

    def heard(self) -> list[dict[str, Any]]:
        """Return the results that are there already. Raises Failed when it has ended."""
        found = []
        with contextlib.suppress(queue.Empty):
            while (said := self._said.get_nowait()) is not None:
                found.append(said)
            raise Failed(self._reason())
        return found

    def tell(self, what: str) -> None:
        """Write a line to its stdin. Raises Failed when it has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{what}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self._reason()) from None

    def wait(self, *, within: float) -> None:
        """Wait until it ends by itself. Raises Failed when it does not, or not well."""
        try:
            code = self._process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            raise Failed(f"did not end within {within:.0f} s") from None
        if code != 0:
            self._reader.join(timeout=5)
            raise Failed(self._reason())

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b'{"bench":'):
                self._said.put(json.loads(line))
                continue
            self._log.write(line)
            if any(event in line for event in self._events):
                said = json.loads(line)
                self._said.put({**said, "bench": said["event"]})
        self._said.put(None)

    def _reason(self) -> str:
        self._log.flush()
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line.strip() for line in lines if line.strip()]
        return (told[-1] if told else f"exit code {self._process.poll()}")[:REASON_LENGTH]
