"""A small AMQP 0-9-1 client for the harness: asks a queue, takes one message, fills with copies.

Copies are the bytes that a contestant's own library has sent, but for the event's id: so each
consumer finds its queue full of what its publisher would have written, at the speed of a socket.
"""

import re
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from benchmarks.peers.measuring import MARKER, identity

BATCH: Final = 500
IN_FLIGHT: Final = 10_000
TIMEOUT: Final = 120.0

_METHOD, _HEADER, _BODY = 1, 2, 3
_START, _START_OK, _TUNE, _TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
_OPEN, _OPEN_OK, _CLOSE = (10, 40), (10, 41), (10, 50)
_CHANNEL_OPEN, _CHANNEL_OPEN_OK, _CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
_DECLARE, _DECLARE_OK, _PURGE, _PURGE_OK = (50, 10), (50, 11), (50, 30), (50, 31)
_PUBLISH, _GET, _GET_OK, _GET_EMPTY, _ACK = (60, 40), (60, 70), (60, 71), (60, 72), (60, 80)
_SELECT, _SELECT_OK = (85, 10), (85, 11)


class BrokerRefused(Exception):
    """The broker closed the channel or the connection, or did not answer; says why."""


@dataclass(frozen=True, slots=True)
class Template:
    """A message as a contestant has sent it; `header` is its content header frame's payload."""

    exchange: str
    routing_key: str
    header: bytes
    body: bytes

    def pieces(self) -> list[bytes]:
        """Return its frames, cut where the id of the event belongs."""
        method = _method(
            _PUBLISH, b"\0\0" + _short(self.exchange) + _short(self.routing_key), b"\0"
        )
        frames = (
            _frame(_METHOD, method),
            _frame(_HEADER, self.header),
            _frame(_BODY, self.body),
        )
        return re.split(re.escape(MARKER.encode()), b"".join(frames))


class Confirms:
    """How many publishes are confirmed without a gap: several queues confirm in no order."""

    def __init__(self) -> None:
        self.count = 0
        self._ahead: set[int] = set()

    def take(self, tag: int, *, all_before: bool) -> None:
        """Take what the broker confirms."""
        if all_before:
            self.count = max(self.count, tag)
            self._ahead = {one for one in self._ahead if one > self.count}
        elif tag > self.count:
            self._ahead.add(tag)
        while self.count + 1 in self._ahead:
            self.count += 1
            self._ahead.remove(self.count)


class Broker:
    """One connection with one channel, in confirm mode. What is refused raises BrokerRefused."""

    def __init__(self, uri: str) -> None:
        """Connect."""
        where = urlsplit(uri)
        self._socket = socket.create_connection((str(where.hostname), where.port or 5672), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._published = 0
        self._confirms = Confirms()
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._wait_for(_START)
        login = "\0".join(
            ("", unquote(where.username or "guest"), unquote(where.password or "guest"))
        )
        self._send(_START_OK, struct.pack(">I", 0), _short("PLAIN"), _long(login), _short("en_US"))
        self._wait_for(_TUNE)
        self._send(_TUNE_OK, struct.pack(">HIH", 1, 131_072, 0))  # no heartbeats: it may be busy
        self._send(_OPEN, _short(unquote(where.path[1:]) or "/"), b"\0\0")
        self._wait_for(_OPEN_OK)
        self._ask(_CHANNEL_OPEN, _CHANNEL_OPEN_OK, b"\0")
        self._ask(_SELECT, _SELECT_OK, b"\0")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def depth(self, queue: str) -> int:
        """Return how many messages of the queue are ready."""
        return self._counts(queue)[0]

    def consumers(self, queue: str) -> int:
        """Return how many consumers the queue has; of a single active one, only that counts."""
        return self._counts(queue)[1]

    def purge(self, queue: str) -> None:
        """Remove the messages of the queue that are ready."""
        self._ask(_PURGE, _PURGE_OK, b"\0\0", _short(queue), b"\0")

    def wait_for_depth(self, queue: str, wanted: Callable[[int], bool], within: float) -> int:
        """Return how many are ready, when it is as wanted or the time is over: counts come late."""
        deadline = time.monotonic() + within
        while not wanted(found := self.depth(queue)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def empty(self, queue: str) -> None:
        """Remove all messages, those too that come back from a consumer that has just ended."""
        for _ in range(50):
            self.purge(queue)
            time.sleep(0.1)
            if self.depth(queue) == 0:
                return
        raise BrokerRefused(f"the queue {queue} does not get empty")

    def take(self, queue: str) -> Template:
        """Take a message from the queue."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            self._send(_GET, b"\0\0", _short(queue), b"\x01", channel=1)
            method, answer = self._wait_for(_GET_OK, _GET_EMPTY)
            if method == _GET_OK:
                exchange, rest = _read_short(answer[9:])
                header = self._read_content(_HEADER)
                size = int.from_bytes(header[4:12], "big")
                body = b""
                while len(body) < size:
                    body += self._read_content(_BODY)
                return Template(exchange, _read_short(rest)[0], header, body)
            time.sleep(0.1)
        raise BrokerRefused(f"the queue {queue} is empty")

    def fill(self, templates: Sequence[Template], events: int) -> None:
        """Publish copies of each in turn, with ids of their own; wait until all are confirmed."""
        pieces = [template.pieces() for template in templates]
        for first in range(0, events, BATCH):
            count = min(BATCH, events - first)
            self._socket.sendall(
                b"".join(
                    identity(n).encode().join(pieces[n % len(pieces)])
                    for n in range(first, first + count)
                )
            )
            self._published += count
            while self._published - self._confirms.count > IN_FLIGHT:
                self._wait_for(_ACK)
        while self._confirms.count < self._published:
            self._wait_for(_ACK)

    def _counts(self, queue: str) -> tuple[int, int]:
        answer = self._ask(_DECLARE, _DECLARE_OK, b"\0\0", _short(queue), b"\x01", _table())
        messages, consumers = struct.unpack(">II", answer[1 + answer[0] :][:8])
        return messages, consumers

    def _ask(self, method: tuple[int, int], answer: tuple[int, int], *arguments: bytes) -> bytes:
        self._send(method, *arguments, channel=1)
        return self._wait_for(answer)[1]

    def _send(self, method: tuple[int, int], *arguments: bytes, channel: int = 0) -> None:
        self._socket.sendall(_frame(_METHOD, _method(method, *arguments), channel))

    def _wait_for(self, *wanted: tuple[int, int]) -> tuple[tuple[int, int], bytes]:
        while True:
            kind, payload = self._read_frame()
            if kind != _METHOD:
                continue
            method = struct.unpack(">HH", payload[:4])
            arguments = payload[4:]
            if method in (_CLOSE, _CHANNEL_CLOSE):
                raise BrokerRefused(_read_short(arguments[2:])[0])
            if method == _ACK:
                self._confirms.take(
                    int.from_bytes(arguments[:8], "big"), all_before=bool(arguments[8])
                )
            if method in wanted:
                return (method[0], method[1]), arguments

    def _read_content(self, wanted: int) -> bytes:
        kind, payload = self._read_frame()
        if kind != wanted:
            raise BrokerRefused(f"a frame of kind {kind} came, where {wanted} belongs")
        return payload

    def _read_frame(self) -> tuple[int, bytes]:
        kind, _, size = struct.unpack(">BHI", self._read(7))
        return kind, self._read(size + 1)[:-1]

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            got = self._socket.recv(65_536)
            if not got:
                raise BrokerRefused("the broker has closed the connection")
            self._buffer += got
        read = bytes(self._buffer[:size])
        del self._buffer[:size]
        return read


def _method(method: tuple[int, int], *arguments: bytes) -> bytes:
    return struct.pack(">HH", *method) + b"".join(arguments)


def _frame(kind: int, payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def _short(text: str) -> bytes:
    return bytes((len(text.encode()),)) + text.encode()


def _long(text: str) -> bytes:
    return struct.pack(">I", len(text.encode())) + text.encode()


def _table() -> bytes:
    return struct.pack(">I", 0)


def _read_short(data: bytes) -> tuple[str, bytes]:
    return data[1 : 1 + data[0]].decode(), data[1 + data[0] :]
