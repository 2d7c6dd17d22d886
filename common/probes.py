"""`/livez`, `/readyz` and `/metrics` on one small asyncio server.

`/livez` answers while the event loop turns and never asks the broker: an outage must not restart
the fleet. It fails, and says why, when only a new process can help. `/readyz` lists every reason
why the service is not ready, one a line.
"""

import asyncio
import errno
from contextlib import suppress
from types import TracebackType
from typing import Self

from common.errors import ConfigError
from common.metrics import Metrics

MAX_REQUEST_BYTES = 8 * 1024
REQUEST_SECONDS = 5.0
_TEXT = "text/plain; charset=utf-8"


class Health:
    """Why the service is not ready, or must be started anew: a reason per subject."""

    def __init__(self, *subjects: str) -> None:
        self._reasons = dict.fromkeys(subjects, "starting")
        self._notes: dict[str, str] = {}
        self._failures: dict[str, str] = {}

    def set(self, subject: str, reason: str | None) -> None:
        """Say what keeps `subject` from being ready; None when nothing does."""
        if reason is None:
            self._reasons.pop(subject, None)
        else:
            self._reasons[subject] = reason

    def note(self, subject: str, text: str | None) -> None:
        """Say what a reader of `/readyz` should know, though the service is ready; None ends it."""
        if text is None:
            self._notes.pop(subject, None)
        else:
            self._notes[subject] = text

    def fail(self, subject: str, reason: str | None) -> None:
        """Say why only a new process can help; None takes it back."""
        if reason is None:
            self._failures.pop(subject, None)
        else:
            self._failures[subject] = reason

    @property
    def failures(self) -> list[str]:
        """Return why only a new process can help, `subject: reason`; empty while it is alive."""
        return [f"{subject}: {reason}" for subject, reason in self._failures.items()]

    @property
    def notes(self) -> list[str]:
        """Return the notes, `subject: text`."""
        return [f"{subject}: {text}" for subject, text in self._notes.items()]

    @property
    def reasons(self) -> list[str]:
        """Return the reasons, `subject: reason`."""
        return [f"{subject}: {reason}" for subject, reason in self._reasons.items()]

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not self._reasons


class Probes:
    """The server; `async with` starts and stops it. `port` says where it listens."""

    def __init__(self, health: Health, metrics: Metrics, *, port: int, fixed: bool) -> None:
        self._health = health
        self._metrics = metrics
        self._wanted = port
        self._fixed = fixed
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen on the wanted port; taken and not asked for on purpose, on a free one."""
        # Any free port would be one for IPv4 and another one for IPv6: it is for this host only.
        host = None if self._wanted else "127.0.0.1"
        try:
            self._server = await asyncio.start_server(self._answer, host, self._wanted)
        except OSError as error:
            if self._fixed or error.errno != errno.EADDRINUSE:
                message = (
                    f"TIDINGS_PROBES_PORT: cannot listen on port {self._wanted}: "
                    f"{error.strerror or error}; choose a free port"
                )
                raise ConfigError(message) from None
            self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening; a request under way has its own deadline."""
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refused = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError)
        try:
            with suppress(TimeoutError, ValueError, *refused):
                async with asyncio.timeout(REQUEST_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    if len(head) <= MAX_REQUEST_BYTES:
                        writer.write(self._response(head.decode("latin-1")))
                        await writer.drain()
        finally:
            writer.close()

    def _response(self, head: str) -> bytes:
        line, *fields = head.split("\r\n")
        method, path, *_ = [*line.split(" "), "", ""]
        status, content_type, body = self._route(method, path.split("?", maxsplit=1)[0], fields)
        header = (
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return header.encode() + (b"" if method == "HEAD" else body)

    def _route(self, method: str, path: str, fields: list[str]) -> tuple[str, str, bytes]:
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", _TEXT, b"only GET and HEAD\n"
        match path:
            case "/livez":
                failures = self._health.failures
                return _verdict(failures or ["alive"], well=not failures)
            case "/readyz" | "/healthz":
                health = self._health
                lines = [*(["ready"] if health.ready else health.reasons), *health.notes]
                return _verdict(lines, well=health.ready)
            case "/metrics":
                accept = next((f[7:] for f in fields if f.lower().startswith("accept:")), "")
                metrics, content_type = self._metrics.render(accept.strip())
                return "200 OK", content_type, metrics
        return "404 Not Found", _TEXT, b"try /livez, /readyz or /metrics\n"


def _verdict(lines: list[str], *, well: bool) -> tuple[str, str, bytes]:
    status = "200 OK" if well else "503 Service Unavailable"
    return status, _TEXT, "".join(f"{line}\n" for line in lines).encode()
