"""Open one aio-pika connection, say plainly why it cannot be opened, and notice a dead peer."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aio_pika
import aiormq
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from common.address import masked
from common.errors import AccessRefused, BrokerUnavailable, ConfigError
from common.stopping import asked_to_stop

CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 10
SILENCE_SECONDS = 2 * HEARTBEAT_SECONDS
"""The broker sends something each half heartbeat; this long without a byte is a dead peer. aiormq
alone would take 33 s."""


class WatchedTransport(aiormq.TransportFactory):
    """The socket, with the time of the last byte read, and a way to drop it at once."""

    def __init__(self) -> None:
        self._last_read = 0.0
        self._writer: asyncio.StreamWriter | None = None

    async def create(
        self, url: URL, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open the socket as aiormq's own factories do, TLS where the scheme says so."""
        provider = options.pop("ssl_context_provider", None)
        context = await provider.get_context() if url.scheme == "amqps" else None
        try:
            reader, writer = await asyncio.open_connection(
                host=url.host, port=url.port, ssl=context, **options
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            raise aiormq.AMQPConnectionError(*error.args) from error
        self._writer = writer
        self._stamp()
        return _StampedReader(reader, self._stamp), writer  # type: ignore[return-value] # aiormq uses at_eof and readexactly only

    def silent_for(self) -> float:
        """Seconds since the last byte arrived."""
        return asyncio.get_running_loop().time() - self._last_read

    def abort(self) -> None:
        """Drop the socket without a word: the peer does not listen any more."""
        if self._writer is not None:
            self._writer.transport.abort()

    def _stamp(self) -> None:
        self._last_read = asyncio.get_running_loop().time()


class _StampedReader:
    """The two methods of a StreamReader that aiormq calls; each read leaves its time."""

    def __init__(self, reader: asyncio.StreamReader, stamp: Callable[[], None]) -> None:
        self._reader = reader
        self._stamp = stamp

    def at_eof(self) -> bool:
        return self._reader.at_eof()

    async def readexactly(self, count: int) -> bytes:
        data = await self._reader.readexactly(count)
        self._stamp()
        return data

    async def read(self, count: int = -1) -> bytes:
        return await self._reader.read(count)


class _WatchedConnection(aio_pika.Connection):
    """aio-pika's connection on a transport of ours (`transport_factory` is aiormq's argument)."""

    def __init__(self, url: URL, transport: WatchedTransport) -> None:
        super().__init__(url)
        self.kwargs["transport_factory"] = transport


async def dial(uri: str, *, name: str) -> tuple[aio_pika.Connection, WatchedTransport]:
    """Connect once.

    Raises BrokerUnavailable when trying again can help, AccessRefused when the broker said no.
    """
    where = masked(uri)
    transport = WatchedTransport()
    url = URL(uri).update_query(heartbeat=HEARTBEAT_SECONDS, name=name)
    connection = _WatchedConnection(url, transport)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()
    except BaseException as error:  # noqa: BLE001 - each kind is explained, and raised
        transport.abort()
        with suppress(AMQPError, OSError):
            await connection.close()  # unclosed, it would close itself when it is collected
        raise _explained(error, where) from None
    return connection, transport


def _explained(error: BaseException, where: str) -> BaseException:
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return AccessRefused(
            f"AMQP_URI: the certificate of {where} is not trusted: {error.verify_message}; "
            "name your CA with TIDINGS_TLS_CA"
        )
    if isinstance(error, ssl.SSLError):
        return AccessRefused(f"AMQP_URI: {where} does not speak TLS as asked: {_short(text)}")
    if isinstance(error, ProbableAuthenticationError | AuthenticationError):
        return AccessRefused(f"AMQP_URI: {where} refused the user or the password")
    if isinstance(error, InvalidFrameError) and "Connection.OpenOk" in text:
        # The broker closed instead of opening the virtual host; aiormq keeps its reason to itself.
        return AccessRefused(
            f"AMQP_URI: {where}: the virtual host does not exist, or this user may not use it"
        )
    if isinstance(error, IncompatibleProtocolError):
        return ConfigError(f"AMQP_URI: {where} does not speak AMQP 0-9-1")
    if isinstance(error, TimeoutError):
        return BrokerUnavailable(f"{where} did not answer within {CONNECT_SECONDS:g} s")
    if isinstance(error, AMQPError | OSError):
        return BrokerUnavailable(f"{where} is not reachable: {_short(text)}")
    if isinstance(error, asyncio.CancelledError) and not asked_to_stop():
        return BrokerUnavailable(f"{where} dropped the connection while it was opened")
    if isinstance(error, Exception):
        # Such as StopAsyncIteration, aiormq's way to say that the broker hung up half way.
        return BrokerUnavailable(f"{where} hung up: {_short(text or type(error).__name__)}")
    return error


def _short(text: str) -> str:
    """Keep the part of a library's message that says something."""
    return text.replace("[Errno 111] ", "").replace("\n", " ")[:160] or "no reason given"
