"""What `tidings consumer` runs in `benchmarks.order`: a handler that does nothing, but waits first.

So the consumer is up, and has its partitions, while the harness fills the queues. It is told what
to do on stdin: `go` lets the handlers run and starts the CPU clock, `count` asks how far it is.
"""

import asyncio
import os
import sys
import threading
import time
from typing import Any

from benchmarks.peers.measuring import cpu_seconds, say
from benchmarks.peers.tidings_order import TYPE
from tidings import handler


class Gate:
    """Counts what is handled; holds the handlers until it is opened, from another thread."""

    def __init__(self) -> None:
        self.open = False
        self._lock = threading.Lock()
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._count = 0
        self._first = self._last = 0.0
        self._cpu = 0.0

    async def wait(self) -> None:
        """Wait until it is opened."""
        with self._lock:
            if self.open:
                return
            self._loop = asyncio.get_running_loop()
        await self._opened.wait()

    def handled(self) -> None:
        """Count an event."""
        self._last = time.monotonic()
        self._count += 1
        if self._count == 1:
            self._first = self._last

    def listen(self) -> None:
        """Do what is told, until who tells is gone."""
        for line in sys.stdin:
            if line == "go\n":
                self._let()
            else:
                cpu = cpu_seconds() - self._cpu
                say("so_far", count=self._count, first=self._first, last=self._last, cpu=cpu)
        os._exit(3)

    def _let(self) -> None:
        self._cpu = cpu_seconds()
        with self._lock:
            self.open = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._opened.set)


gate = Gate()
threading.Thread(target=gate.listen, daemon=True).start()


@handler(TYPE)
async def nothing(_: dict[str, Any]) -> None:
    if not gate.open:
        await gate.wait()
    gate.handled()
