"""What each way to fail to connect means: try again, or tell a person."""

import asyncio
import ssl

import pytest
from aiormq.exceptions import (
    AMQPConnectionError,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from common.broker.dial import _explained
from common.errors import AccessRefused, BrokerUnavailable, ConfigError

WHERE = "amqp://u:***@broker/"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(111, "Connect call failed"), BrokerUnavailable),
        (AMQPConnectionError("Server connection unexpectedly closed"), BrokerUnavailable),
        (TimeoutError(), BrokerUnavailable),
        (asyncio.CancelledError(), BrokerUnavailable),  # aiormq's, nobody asked us to stop
        (StopAsyncIteration(), BrokerUnavailable),  # aiormq's, when the broker is killed half way
        (RuntimeError("closed"), BrokerUnavailable),
        (InvalidFrameError("Expected Connection.Tune, got None"), BrokerUnavailable),
        (InvalidFrameError("Expected Connection.OpenOk, got <Close>"), AccessRefused),
        (ProbableAuthenticationError("ACCESS_REFUSED"), AccessRefused),
        (ssl.SSLError("WRONG_VERSION_NUMBER"), AccessRefused),
        (IncompatibleProtocolError("0-8"), ConfigError),
    ],
)
async def test_an_error_is_explained(error: BaseException, kind: type[Exception]) -> None:
    explained = _explained(error, WHERE)

    assert type(explained) is kind
    assert WHERE in str(explained)
    assert len(str(explained).splitlines()) == 1


def test_what_ends_the_process_is_passed_on() -> None:
    end = KeyboardInterrupt()

    assert _explained(end, WHERE) is end
