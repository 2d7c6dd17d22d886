"""Virtual hosts of a broker, through its management API: one for each cell of the table."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

LOOKS = 3
"""How often all queues are emptied: a message may be on its way from one to another."""
BETWEEN_LOOKS = 1.0
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it lay in a queue."""

    queue: str
    body: bytes
    properties: Mapping[str, Any]

    def names(self, name: str) -> bool:
        """Tell whether this text stands in its body or its properties."""
        return name.encode() in self.body or name in json.dumps(self.properties)

    @property
    def headers(self) -> Mapping[str, Any]:
        """Its headers."""
        headers = self.properties.get("headers")
        return headers if isinstance(headers, dict) else {}


class Hosts:
    """Makes virtual hosts, and looks into them."""

    def __init__(self, amqp_uri: str, management_uri: str) -> None:
        self._amqp_uri = amqp_uri
        where = urlsplit(management_uri)
        self._user = str(where.username)
        self._base = f"http://{where.hostname}:{where.port}/api"
        account = f"{where.username}:{where.password}".encode()
        self._credentials = base64.b64encode(account).decode()

    @contextmanager
    def one(self, name: str) -> Iterator["Host"]:
        """Make a virtual host, and remove it at the end with all that is in it."""
        path = f"/vhosts/{quote(name, safe='')}"
        self.call("PUT", path, {})
        try:
            every = {"configure": ".*", "write": ".*", "read": ".*"}
            self.call("PUT", f"/permissions/{quote(name, safe='')}/{self._user}", every)
            yield Host(self, name, f"{self._amqp_uri.rstrip('/')}/{quote(name, safe='')}")
        finally:
            self.call("DELETE", path)

    def call(self, method: str, path: str, body: object | None = None) -> Any:
        """Call the API, and return what it answers. Raises OSError."""
        request = Request(
            f"{self._base}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Basic {self._credentials}",
                "Content-Type": "application/json",
            },
        )
        with urlopen(request, timeout=30) as response:
            answer = response.read()
        return json.loads(answer) if answer else None


@dataclass(frozen=True, slots=True)
class Host:
    """A virtual host."""

    hosts: Hosts
    name: str
    uri: str

    def has(self, queue: str) -> bool:
        """Tell whether there is such a queue."""
        try:
            self.hosts.call("GET", f"{self._queues}/{quote(queue, safe='')}?disable_stats=true")
        except HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def queues(self) -> list[str]:
        """Return the names of all queues."""
        listed = self.hosts.call(
            "GET", f"{self._queues}?disable_stats=true&enable_queue_totals=true"
        )
        return sorted(str(one["name"]) for one in listed)

    def take_all(self) -> list[Message]:
        """Take all messages out of all queues. Nobody must consume any more."""
        found: list[Message] = []
        for look in range(LOOKS):
            if look:
                time.sleep(BETWEEN_LOOKS)
            for queue in self.queues():
                found += self._empty(queue)
        return found

    def _empty(self, queue: str) -> Iterator[Message]:
        wanted = {"count": AT_ONCE, "ackmode": "ack_requeue_false", "encoding": "base64"}
        while taken := self.hosts.call(
            "POST", f"{self._queues}/{quote(queue, safe='')}/get", wanted
        ):
            for one in taken:
                yield Message(queue, base64.b64decode(one["payload"]), one["properties"])

    @property
    def _queues(self) -> str:
        return f"/queues/{quote(self.name, safe='')}"
