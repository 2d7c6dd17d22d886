"""A broker that comes back at another address under the same name."""

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from producer.facade import Producer
from support.broker import Broker
from support.names import Names
from support.proxy import Proxy, proxied
from support.services import consuming
from support.waiting import until
from tidings import Event, handler

NAME = "broker.test"


class NameService:
    """Answers for one name, with whichever proxy it points to now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points_to: Proxy | None = None
        self.asked = 0
        self._others = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: Any, port: Any, *args: Any, **given: Any) -> Any:
        if host != NAME:
            return self._others(host, port, *args, **given)
        self.asked += 1
        if self.points_to is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        where = ("127.0.0.1", self.points_to.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]


@pytest.mark.fault("C46")
async def test_a_broker_at_another_address_is_found_by_its_name(
    broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a name that points nowhere for a while, as between two pods, and then elsewhere."""
    service, seen = NameService(monkeypatch), list[str]()
    account = urlsplit(broker.uri).netloc.rpartition("@")[0]
    uri = urlsplit(broker.uri)._replace(netloc=f"{account}@{NAME}:5672").geturl()

    @handler("order.created")
    async def charge(event: Event) -> None:
        seen.append(event.id)

    async with proxied(broker.uri) as old, proxied(broker.uri) as new:
        service.points_to = old
        async with consuming(uri, names.group, charge) as main, Producer(uri) as producer:
            await producer.publish("order.created", id="before")
            await until(lambda: seen == ["before"])
            service.points_to = None
            old.down()
            await until(lambda: not main.health.ready)
            asked = service.asked
            await until(lambda: service.asked >= asked + 4, what="the name is asked for again")
            service.points_to = new
            await producer.publish("order.created", id="after", timeout=20)
            await until(lambda: main.health.ready)
            await until(lambda: seen == ["before", "after"])
