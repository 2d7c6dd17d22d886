"""A broker as a test sees it: a virtual host of its own, and an administrator's view of it."""

import asyncio
import base64
import contextlib
import json
import re
import secrets
from typing import Self, cast
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import aiormq
from aiormq.abc import AbstractConnection
from pamqp.commands import Queue

from ops.broker_handle import BrokerHandle
from support.brokers import Address
from support.waiting import until

_OURS = "the test itself"
"""The name of the connection that this helper looks through; it is not counted or closed."""

_ALL = ".*"


class Broker:
    """A virtual host on a running broker. Everything in it goes when the test ends."""

    def __init__(self, address: Address, version: str, vhost: str) -> None:
        self.version: tuple[int, int] = _major_minor(version)
        self.vhost = vhost
        self._address = address
        self._users: list[str] = []
        self._connection: AbstractConnection | None = None

    @property
    def uri(self) -> str:
        """The AMQP URI of the virtual host, with all rights."""
        parts = urlsplit(self._address.amqp_uri)
        return parts._replace(path="/" + quote(self.vhost, safe="")).geturl()

    @property
    def management_uri(self) -> str:
        """The management API, with an administrator's credentials."""
        return self._address.management_uri

    async def __aenter__(self) -> Self:
        """Make the virtual host."""
        me = urlsplit(self.management_uri).username
        await self._call("PUT", f"/vhosts/{self._quoted}")
        await self._permit(str(me), configure=_ALL, write=_ALL, read=_ALL)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Remove what the test has made."""
        if self._connection is not None:
            await self._connection.close()
        for user in self._users:
            await self._call("DELETE", f"/users/{user}")
        await self._call("DELETE", f"/vhosts/{self._quoted}")

    async def messages(self, queue: str) -> int:
        """Return how many messages are ready, as the queue itself says: statistics lag."""
        return (await self._declared(queue)).message_count or 0

    async def stored(self, queue: str) -> int:
        """Return how many messages the queue stores, those it holds while dead-lettering too.

        A statistic, so a few seconds late.
        """
        found = await self._call("GET", f"/queues/{self._quoted}/{quote(queue, safe='')}")
        return int(json.loads(found).get("messages", 0))

    async def consumers(self, queue: str) -> int:
        """Return how many consumers the queue has."""
        return (await self._declared(queue)).consumer_count or 0

    async def queues(self) -> set[str]:
        """Return the names of all queues."""
        return {str(queue["name"]) for queue in await self._list(f"/queues/{self._quoted}")}

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it."""
        await self._call("DELETE", f"/queues/{self._quoted}/{quote(name, safe='')}")

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange with its bindings."""
        await self._call("DELETE", f"/exchanges/{self._quoted}/{quote(name, safe='')}")

    async def connections(self) -> list[str]:
        """Return the broker's names of the connections that the code under test has open.

        New ones appear late, after a second or five: the broker collects statistics so seldom.
        """
        found = await self._list(f"/vhosts/{self._quoted}/connections")
        return [str(one["name"]) for one in found if one.get("user_provided_name") != _OURS]

    async def close_all_connections(self, *, at_least: int = 1) -> None:
        """Close them as an administrator would, once the broker knows of so many."""

        async def known() -> bool:
            return len(await self.connections()) >= at_least

        await until(known, what=f"{at_least} connections in the broker's statistics")
        for name in await self.connections():
            with contextlib.suppress(HTTPError):  # gone meanwhile
                await self._call("DELETE", f"/connections/{quote(name, safe='')}")

    async def create_user(
        self,
        *,
        configure: str = _ALL,
        write: str = _ALL,
        read: str = _ALL,
        password: str | None = None,
    ) -> str:
        """Make a user with these rights, and return the AMQP URI of the virtual host for it."""
        name, password = f"user-{secrets.token_hex(4)}", password or secrets.token_hex(8)
        await self._call("PUT", f"/users/{name}", {"password": password, "tags": ""})
        self._users.append(name)
        await self._permit(name, configure=configure, write=write, read=read)
        parts = urlsplit(self.uri)
        account = f"{name}:{quote(password, safe='')}"
        return parts._replace(netloc=f"{account}@{parts.hostname}:{parts.port}").geturl()

    async def allow_topics(self, uri: str, exchange: str, *, write: str) -> None:
        """Let the user of this URI publish to a topic exchange with matching keys only."""
        path = f"/topic-permissions/{self._quoted}/{urlsplit(uri).username}"
        await self._call("PUT", path, {"exchange": exchange, "write": write, "read": _ALL})

    async def set_policy(self, name: str, pattern: str, **definition: object) -> None:
        """Set a policy on the queues that match; its keys have _ for -, as in max_length=3."""
        keys = {key.replace("_", "-"): value for key, value in definition.items()}
        body = {"pattern": pattern, "definition": keys, "apply-to": "queues"}
        await self._call("PUT", f"/policies/{self._quoted}/{name}", body)

    async def clear_policy(self, name: str) -> None:
        """Remove a policy."""
        await self._call("DELETE", f"/policies/{self._quoted}/{name}")

    @property
    def _quoted(self) -> str:
        return quote(self.vhost, safe="")

    async def _permit(self, user: str, **rights: str) -> None:
        await self._call("PUT", f"/permissions/{self._quoted}/{quote(user, safe='')}", rights)

    async def _declared(self, queue: str) -> Queue.DeclareOk:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aiormq.connect(
                self.uri, client_properties={"connection_name": _OURS}
            )
        channel = await self._connection.channel()
        declared = await channel.queue_declare(queue, passive=True)
        await channel.close()
        assert declared is not None  # only with nowait
        return declared

    async def _list(self, path: str) -> list[dict[str, object]]:
        return cast("list[dict[str, object]]", json.loads(await self._call("GET", path)))

    async def _call(self, method: str, path: str, body: object = None) -> bytes:
        where = urlsplit(self.management_uri)
        credentials = base64.b64encode(f"{where.username}:{where.password}".encode()).decode()
        request = Request(
            f"http://{where.hostname}:{where.port}/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        return await asyncio.to_thread(_read, request)


class OwnBroker(Broker):
    """A broker of the test's own, which it may stop and harm."""

    def __init__(self, handle: BrokerHandle) -> None:
        address = Address(handle.amqp_uri, handle.management_uri)
        super().__init__(address, handle.version, vhost="/")
        self._handle = handle

    async def start(self) -> None:
        """Start again on the same ports and data, and wait until it serves."""
        await asyncio.to_thread(self._handle.start)

    async def stop(self) -> None:
        """Shut down as an administrator would; data stays."""
        await asyncio.to_thread(self._handle.stop)

    async def kill(self) -> None:
        """Die like on a power cut; data stays."""
        await asyncio.to_thread(self._handle.kill)

    async def pause(self) -> None:
        """Freeze: connections stay open and nothing answers."""
        await asyncio.to_thread(self._handle.pause)

    async def unpause(self) -> None:
        """Go on after a pause."""
        await asyncio.to_thread(self._handle.unpause)


def _read(request: Request) -> bytes:
    with urlopen(request, timeout=10) as response:
        return cast("bytes", response.read())


def _major_minor(version: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)
