"""Open one aio-pika connection, say plainly why it cannot be opened, and notice a dead peer."""

import asyncio
import ssl
from contextlib import suppress

import aio_pika
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from common.address import masked
from common.broker.fastlane.factory import LaneFactory
from common.broker.fastlane.transport import Lane
from common.errors import AccessRefused, BrokerUnavailable, ConfigError
from common.stopping import asked_to_stop

CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 10
SILENCE_SECONDS = 2 * HEARTBEAT_SECONDS
"""The broker sends something each half heartbeat; this long without a byte is a dead peer. aiormq
alone would take 33 s."""


class _LaneConnection(aio_pika.Connection):
    """aio-pika's connection on a socket of ours (`transport_factory` is aiormq's argument)."""

    def __init__(self, url: URL, factory: LaneFactory) -> None:
        super().__init__(url)
        self.kwargs["transport_factory"] = factory


async def dial(uri: str, *, name: str) -> tuple[aio_pika.Connection, Lane]:
    """Connect once.

    Raises BrokerUnavailable when trying again can help, AccessRefused when the broker said no.
    """
    where = masked(uri)
    factory = LaneFactory()
    url = URL(uri).update_query(heartbeat=HEARTBEAT_SECONDS, name=name)
    connection = _LaneConnection(url, factory)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()
    except BaseException as error:  # noqa: BLE001 - each kind is explained, and raised
        factory.abort()
        with suppress(AMQPError, OSError):
            await connection.close()  # unclosed, it would close itself when it is collected
        raise _explained(error, where) from None
    if factory.lane is None:
        raise BrokerUnavailable(f"{where}: the connection was lost while it was opened")
    return connection, factory.lane


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
