"""A TCP proxy before the broker, to cut connections at a chosen moment."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on; `abort` cuts every connection, `hold` lets nothing of the broker through."""

    def __init__(self, target: str, *, tls: bool) -> None:
        self._target = urlsplit(target)
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self.port = 0

    @property
    def uri(self) -> str:
        """The broker's URI through the proxy."""
        account = self._target.netloc.rpartition("@")[0]
        there = f"{account}@127.0.0.1:{self.port}"
        scheme = "amqps" if self._tls else "amqp"
        return self._target._replace(scheme=scheme, netloc=there).geturl()

    def hold(self) -> None:
        """From now on the broker's answers get stuck here."""
        self._passing.clear()

    def abort(self) -> None:
        """Cut all connections without a goodbye, and let new ones pass."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._passing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        host, port = self._target.hostname, self._target.port
        there, back = await asyncio.open_connection(host, port)
        self._writers |= {writer, back}
        await asyncio.gather(
            self._carry(reader, back, held=False), self._carry(there, writer, held=True)
        )

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if held:
                    await self._passing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxied(target: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy before the broker of this URI; with `tls` it speaks TLS to us."""
    proxy = Proxy(target, tls=tls is not None)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.abort()
        server.close()
