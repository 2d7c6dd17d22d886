"""A TCP proxy before the broker, to cut connections at a chosen moment, or to take it away."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on.

    `abort` cuts every connection, `hold` lets nothing of the broker through, `hold_up` nothing to
    it, `sever` loses the broker's end only, `down` is as if there were no broker, until `up`.
    """

    def __init__(self, target: str, *, tls: bool) -> None:
        self._target = urlsplit(target)
        self._tls = tls
        self._fronts: set[asyncio.StreamWriter] = set()
        self._backs: set[asyncio.StreamWriter] = set()
        self._deaf: set[asyncio.StreamWriter] = set()
        """Fronts that nobody tells of the end of their backs."""
        self._down_passes = asyncio.Event()
        self._down_passes.set()
        self._up_passes = asyncio.Event()
        self._up_passes.set()
        self._down = False
        self._left: int | None = None
        """Bytes to the broker before all is cut."""
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
        self._down_passes.clear()

    def hold_up(self) -> None:
        """From now on what is sent to the broker gets stuck here."""
        self._up_passes.clear()

    def abort(self) -> None:
        """Cut all connections without a goodbye, and let new ones pass."""
        for writer in self._fronts | self._backs:
            writer.transport.abort()
        self._fronts.clear()
        self._backs.clear()
        self._down_passes.set()
        self._up_passes.set()

    def sever(self) -> None:
        """Half-open: the broker loses all connections, and who has them hears nothing of it."""
        self._deaf |= self._fronts
        for back in self._backs:
            back.transport.abort()
        self._backs.clear()

    def down(self) -> None:
        """From now on there is no broker."""
        self._down = True
        self.abort()

    def up(self) -> None:
        """There is a broker again."""
        self._down = False

    def cut_after(self, size: int) -> None:
        """Cut all connections, once, when so many bytes more have gone to the broker."""
        self._left = size

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self._down:
            writer.transport.abort()
            return
        host, port = self._target.hostname, self._target.port
        there, back = await asyncio.open_connection(host, port)
        self._fronts.add(writer)
        self._backs.add(back)
        await asyncio.gather(self._carry_up(reader, back), self._carry_down(there, writer))

    async def _carry_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._up_passes.wait()
                if self._left is not None:
                    self._left -= len(data)
                    if self._left <= 0:
                        self._left = None
                        self.abort()
                        break
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _carry_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._down_passes.wait()
                writer.write(data)
                await writer.drain()
        if writer not in self._deaf:
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
