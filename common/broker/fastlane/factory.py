"""What aiormq gets of our socket: a reader and a writer, from a factory it lets us choose."""

import asyncio
import ssl
from typing import Any, cast

import aiormq
from yarl import URL

from common.broker.fastlane.transport import Lane


class LaneWriter:
    """What aiormq calls of a StreamWriter. `tests/integration/test_lane_aiormq.py` pins it."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    @property
    def transport(self) -> asyncio.Transport:
        """For aiormq to abort."""
        return self._lane.transport

    def write(self, data: bytes) -> None:
        """Send whole frames at the end of this turn."""
        self._lane.write(data)

    async def drain(self) -> None:
        """Send now, and wait while the socket is full."""
        lane = self._lane
        lane.flush()
        if lane.ended.done():
            raise ConnectionResetError(lane.ended.result())
        await lane.until_room()

    def is_closing(self) -> bool:
        """Whether the socket is closed, or about to be."""
        return self.transport.is_closing()

    def can_write_eof(self) -> bool:
        """Whether the socket can be half closed; not with TLS."""
        return self.transport.can_write_eof()

    def write_eof(self) -> None:
        """Close our half."""
        self._lane.flush()
        self.transport.write_eof()

    def close(self) -> None:
        """Close when everything is sent."""
        self._lane.flush()
        self.transport.close()

    async def wait_closed(self) -> None:
        """Wait until it is closed."""
        await asyncio.shield(self._lane.ended)


class LaneFactory(aiormq.TransportFactory):
    """Opens the socket of one connection for aiormq; `lane` is ours."""

    lane: Lane | None = None

    async def create(
        self, url: URL, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open the socket as aiormq's own factories do, TLS where the scheme says so."""
        provider = options.pop("ssl_context_provider", None)
        context = await provider.get_context() if url.scheme == "amqps" else None
        try:
            _, lane = await asyncio.get_running_loop().create_connection(
                Lane, host=url.host or "", port=url.port or 0, ssl=context, **options
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            raise aiormq.AMQPConnectionError(*error.args) from error
        self.lane = lane
        return lane.reader, cast("asyncio.StreamWriter", LaneWriter(lane))

    def abort(self) -> None:
        """Drop the socket, if there is one."""
        if self.lane is not None:
            self.lane.abort()
