"""The probes: alive while the loop turns, ready when nothing stands in the way."""

import asyncio

import pytest

from common.errors import ConfigError
from common.metrics import Metrics
from common.probes import Health, Probes


async def ask(port: int, request: str) -> tuple[str, str]:
    """Send a raw request; return the status line and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return head.split("\r\n")[0], body


def get(path: str, method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def health() -> Health:
    return Health("publish")


def test_health_lists_every_reason() -> None:
    health = Health("publish", "consume")
    health.set("consume", "connection lost")
    health.set("publish", None)

    assert not health.ready
    assert health.reasons == ["consume: connection lost"]
    health.set("consume", None)
    assert health.ready


async def test_alive_never_depends_on_readiness(health: Health) -> None:
    async with Probes(health, Metrics(), port=0, fixed=False) as probes:
        assert await ask(probes.port, get("/livez")) == ("HTTP/1.1 200 OK", "alive\n")
        assert await ask(probes.port, get("/readyz")) == (
            "HTTP/1.1 503 Service Unavailable",
            "publish: starting\n",
        )
        health.set("publish", None)
        assert await ask(probes.port, get("/readyz?verbose")) == ("HTTP/1.1 200 OK", "ready\n")


async def test_metrics_are_exposed_with_their_prefix(health: Health) -> None:
    metrics = Metrics()
    metrics.published.labels("order.created", "confirmed").inc()
    async with Probes(health, metrics, port=0, fixed=False) as probes:
        status, body = await ask(probes.port, get("/metrics"))

    assert status == "HTTP/1.1 200 OK"
    assert 'tidings_published_total{outcome="confirmed",type="order.created"} 1.0' in body
    names = {line.split("{")[0].split(" ")[0] for line in body.splitlines() if line[0] != "#"}
    assert all(name.startswith("tidings_") for name in names)
    assert not any(name.endswith("_created") for name in names)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), "HTTP/1.1 404 Not Found"),
        (get("/metrics/../etc"), "HTTP/1.1 404 Not Found"),
        (get("/livez", "POST"), "HTTP/1.1 405 Method Not Allowed"),
        (get("/livez", "HEAD"), "HTTP/1.1 200 OK"),
        ("\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        ("GET\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("\xff\xfe\x00 /livez\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
    ],
)
async def test_strange_requests_get_an_answer_and_do_no_harm(
    health: Health, request_: str, status: str
) -> None:
    async with Probes(health, Metrics(), port=0, fixed=False) as probes:
        assert (await ask(probes.port, request_))[0] == status
        assert (await ask(probes.port, get("/livez")))[1] == "alive\n"


async def test_a_taken_port_that_nobody_chose_gives_way_to_a_free_one(health: Health) -> None:
    async with (
        Probes(health, Metrics(), port=0, fixed=False) as first,
        Probes(health, Metrics(), port=first.port, fixed=False) as second,
    ):
        assert second.port not in (0, first.port)


async def test_a_taken_port_that_was_chosen_is_an_error_with_its_variable(health: Health) -> None:
    async with Probes(health, Metrics(), port=0, fixed=False) as first:
        with pytest.raises(ConfigError, match="TIDINGS_PROBES_PORT"):
            async with Probes(health, Metrics(), port=first.port, fixed=True):
                pass


async def test_a_note_is_shown_and_keeps_nothing_from_being_ready() -> None:
    """An alarm of the broker: events are still accepted, but whoever looks should know."""
    health = Health()
    health.note("publish", "blocked by the broker: low on memory")
    async with Probes(health, Metrics(), port=0, fixed=False) as probes:
        assert await ask(probes.port, get("/readyz")) == (
            "HTTP/1.1 200 OK",
            "ready\npublish: blocked by the broker: low on memory\n",
        )
        health.note("publish", None)
        assert await ask(probes.port, get("/readyz")) == ("HTTP/1.1 200 OK", "ready\n")


async def test_a_process_that_only_a_new_one_can_help_says_why_and_may_recover() -> None:
    """Readiness is another question: what still runs goes on."""
    health = Health()
    async with Probes(health, Metrics(), port=0, fixed=False) as probes:
        health.fail("threads", "all 32 hang: shop.charge (32)")
        assert await ask(probes.port, get("/livez")) == (
            "HTTP/1.1 503 Service Unavailable",
            "threads: all 32 hang: shop.charge (32)\n",
        )
        assert await ask(probes.port, get("/readyz")) == ("HTTP/1.1 200 OK", "ready\n")
        health.fail("threads", None)
        assert await ask(probes.port, get("/livez")) == ("HTTP/1.1 200 OK", "alive\n")
