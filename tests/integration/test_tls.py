"""TLS, with a CA made for the test: trusted, not trusted, wrong host, client certificate.

A proxy before the broker ends the TLS, so that every broker can be used as it is.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from common.address import with_certificates
from common.broker import connect
from common.errors import AccessRefused, BrokerUnavailable
from common.message import Confirmed, Message, Publishing
from common.topology import events_topology
from support.broker import Broker
from support.proxy import proxied


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(ca: trustme.CA, tmp_path: Path) -> str:
    """The CA's certificate, as a file."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def server(
    ca: trustme.CA,
    *names: str,
    clients: trustme.CA | None = None,
    not_after: datetime | None = None,
) -> ssl.SSLContext:
    """A server's side of TLS; `clients`: the CA whose client certificates it demands."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(*names, not_after=not_after).configure_cert(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
    return context


async def _publishes(uri: str) -> bool:
    async with connect(uri, name="tls") as connection:
        await connection.ensure(events_topology(), "declare")
        answer = await connection.publish(Publishing("events", "a", Message(b"{}")))
    return answer == Confirmed()


async def test_a_broker_with_a_certificate_of_our_ca_is_trusted(
    broker: Broker, ca: trustme.CA, trusted: str
) -> None:
    async with proxied(broker.uri, server(ca, "127.0.0.1")) as proxy:
        assert await _publishes(with_certificates(proxy.uri, ca=trusted, cert=None, key=None))


@pytest.mark.fault("P11")
async def test_a_ca_that_is_not_ours_is_refused_and_the_remedy_named(
    broker: Broker, ca: trustme.CA, trusted: str
) -> None:
    async with proxied(broker.uri, server(trustme.CA(), "127.0.0.1")) as proxy:
        for uri in (proxy.uri, with_certificates(proxy.uri, ca=trusted, cert=None, key=None)):
            with pytest.raises(AccessRefused, match=r"not trusted.*TIDINGS_TLS_CA"):
                await _publishes(uri)


@pytest.mark.fault("P11")
async def test_a_certificate_for_another_host_is_refused(
    broker: Broker, ca: trustme.CA, trusted: str
) -> None:
    async with proxied(broker.uri, server(ca, "elsewhere.example")) as proxy:
        with pytest.raises(AccessRefused, match=r"not trusted.*127\.0\.0\.1"):
            await _publishes(with_certificates(proxy.uri, ca=trusted, cert=None, key=None))


@pytest.mark.fault("P11")
async def test_a_certificate_that_is_no_longer_valid_is_refused(
    broker: Broker, ca: trustme.CA, trusted: str
) -> None:
    server_side = server(ca, "127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    async with proxied(broker.uri, server_side) as proxy:
        with pytest.raises(AccessRefused, match=r"not trusted.*expired"):
            await _publishes(with_certificates(proxy.uri, ca=trusted, cert=None, key=None))


@pytest.mark.fault("P11")
async def test_plain_text_is_not_tried_where_tls_was_asked_for(broker: Broker) -> None:
    async with proxied(broker.uri) as proxy:
        with pytest.raises((AccessRefused, BrokerUnavailable)):
            await _publishes(proxy.uri.replace("amqp:", "amqps:"))


async def test_a_client_certificate_is_shown(
    broker: Broker, ca: trustme.CA, trusted: str, tmp_path: Path
) -> None:
    mine = ca.issue_cert("client.example")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")

    async with proxied(broker.uri, server(ca, "127.0.0.1", clients=ca)) as proxy:
        assert await _publishes(with_certificates(proxy.uri, ca=trusted, cert=cert, key=key))
        with pytest.raises((AccessRefused, BrokerUnavailable)):
            await _publishes(with_certificates(proxy.uri, ca=trusted, cert=None, key=None))
