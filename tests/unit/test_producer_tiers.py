"""Events that are published with a delay wait for their tier to be there."""

from common.errors import ConfigError, InvalidEvent
from common.message import Confirmed, Message, Publishing
from support.publishing import publishing
from support.waiting import until


async def test_a_delay_tier_is_made_before_the_first_event_goes_to_it() -> None:
    async with publishing() as bench:
        late = Publishing("events.delay.v1.8s", "a", Message(b"{}", type="a"), 7.0)
        first = await bench.outbox.append(late)
        await bench.accept("b")
        await until(lambda: set(bench.line.order) == {"a", "b"})

        assert bench.links.made == ["events.delay.v1.8s"]
        bench.line.sent["a"](Confirmed())
        assert await first.safe is None
        await bench.outbox.append(late)
        await until(lambda: bench.line.order.count("a") == 2)
        assert len(bench.links.made) == 1


async def test_an_event_whose_delay_tier_cannot_be_is_refused_with_the_reason() -> None:
    async with publishing() as bench:
        bench.links.no = ConfigError("exchange 'events.delay.v1.8s' is missing")
        entry = await bench.outbox.append(
            Publishing("events.delay.v1.8s", "a", Message(b"{}", type="a"), 7.0)
        )

        problem = await entry.safe

        assert isinstance(problem, InvalidEvent)
        assert "is missing" in str(problem)
