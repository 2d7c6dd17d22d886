"""The publisher on a connection that answers what the test says: order, window, back-off."""

import asyncio

import pytest

from common.errors import AccessRefused, InvalidEvent
from common.message import Answer, Confirmed, Nacked, Returned, Unknown
from producer import publisher
from support.publishing import Bench, Line, publishing
from support.waiting import until


async def test_what_is_confirmed_is_settled_and_counted() -> None:
    async with publishing() as bench:
        a, b = await bench.accept("a", "b")
        await bench.sent("a", "b")
        assert a.sent_at is not None
        bench.line.answer(Confirmed(), "b")

        assert await b.safe is None
        assert not a.safe.done()
        assert bench.outbox.depth == 1
        assert (bench.count("a", "confirmed"), bench.count("b", "confirmed")) == (0, 1)


async def test_no_more_than_the_window_is_under_way() -> None:
    async with publishing(window=2) as bench:
        await bench.accept("a", "b", "c", "d")
        await bench.sent("a", "b")
        await asyncio.sleep(0.01)
        assert bench.line.order == ["a", "b"]

        bench.line.answer(Confirmed(), "a")
        await bench.sent("a", "b", "c")


async def test_what_the_connection_does_not_take_is_sent_later_and_in_order() -> None:
    async with publishing() as bench:
        bench.line.takes = 2
        await bench.accept("a", "b", "c", "d")
        await bench.sent("a", "b")

        bench.line.takes = 100
        await bench.accept("e")
        await bench.sent("a", "b", "c", "d", "e")


async def test_after_a_lost_connection_the_oldest_are_sent_first() -> None:
    async with publishing(window=3) as bench:
        await bench.accept("a", "b", "c", "d")
        await bench.sent("a", "b", "c")
        bench.line.lose()
        bench.links.line = Line()

        await bench.sent("a", "b", "c")
        bench.line.answer(Confirmed())
        await bench.sent("a", "b", "c", "d")
        assert bench.links.repairs == 0


async def test_a_queue_that_refuses_everything_does_not_hold_up_other_events() -> None:
    async with publishing(window=4) as bench:
        await bench.accept(*(f"full.{number}" for number in range(40)), "free")
        while "free" not in bench.line.sent:
            bench.line.answer(Nacked())
            await asyncio.sleep(0)
        bench.line.answer(Confirmed(), "free")

        assert bench.outbox.depth == 40


async def test_events_that_wait_for_their_next_try_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "MOST_PUT_OFF", 2)
    monkeypatch.setattr(publisher, "FIRST_DELAY", 0.2)
    async with publishing(window=2) as bench:
        await bench.accept("a", "b", "c")
        await bench.sent("a", "b")
        bench.line.answer(Nacked())
        await asyncio.sleep(0.05)
        assert bench.line.order == ["a", "b"], "two wait, and nothing more is sent"

        await until(lambda: "c" in bench.line.sent, what="one is tried again, and room for another")
        bench.line.answer(Confirmed())
        await until(lambda: len(bench.line.order) == 5, what="the other one again")
        assert set(bench.line.order[2:]) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("answer", "repairs"),
    [(Nacked(), 0), (Returned("NO_ROUTE"), 1), (Unknown("the channel was closed"), 1)],
)
async def test_what_is_not_confirmed_is_sent_again_and_says_its_last_answer(
    answer: Answer, repairs: int
) -> None:
    async with publishing() as bench:
        (entry,) = await bench.accept("a")
        await bench.sent("a")
        bench.line.answer(answer)
        await bench.sent("a", "a")

        assert (entry.last, entry.failures) == (answer, 1)
        assert bench.links.repairs == repairs
        assert bench.count("a", type(answer).__name__.lower()) == 1


async def test_silence_is_no_reason_to_repair_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 0.01)
    async with publishing() as bench:
        await bench.accept("a")
        await bench.sent("a")
        await asyncio.sleep(0.02)
        bench.line.answer(Unknown("no answer within 0.01 s"))
        await bench.sent("a", "a")

    assert bench.links.repairs == 0


async def test_shortly_before_its_deadline_nothing_is_sent_again() -> None:
    async with publishing() as bench:
        clock = asyncio.get_running_loop().time
        deadline = clock() + 0.3
        (entry,) = await bench.accept("a", deadline=deadline)
        await bench.sent("a")
        bench.line.answer(Nacked())
        await until(lambda: clock() > deadline + 0.1, what="its deadline has passed")
        bench.outbox.withdraw(entry)
        await asyncio.sleep(0.01)

        assert bench.line.order == ["a"]


async def test_an_answer_to_an_event_that_was_given_up_only_makes_room() -> None:
    async with publishing(window=1) as bench:
        (entry, _) = await bench.accept("a", "b")
        await bench.sent("a")
        bench.outbox.withdraw(entry)
        bench.line.answer(Nacked(), "a")
        await bench.sent("a", "b")

        assert entry.last is None
        assert entry.sent_at is not None, "whoever gave it up finds it under way"


async def test_a_given_up_event_is_not_sent() -> None:
    async with publishing() as bench:
        entry, _ = await bench.accept("a", "b")
        entry.safe.cancel()  # its task is cancelled, and has not run since

        await bench.sent("b")


async def test_an_event_that_cannot_be_sent_is_refused_alone() -> None:
    async with publishing() as bench:
        unwritable, large, good = await bench.accept("unwritable", "large", "good")
        await bench.sent("large", "good")
        bench.line.answer(InvalidEvent("larger than the broker takes"), "large")
        bench.line.answer(Confirmed(), "good")

        assert isinstance(await unwritable.safe, InvalidEvent)
        assert isinstance(await large.safe, InvalidEvent)
        assert await good.safe is None


async def test_a_user_who_may_not_publish_ends_it() -> None:
    bench = Bench(window=256)
    running = asyncio.create_task(bench.publisher.run())
    await bench.accept("a", "b", "c")
    await bench.sent("a", "b", "c")

    bench.line.answer(AccessRefused("may not publish"), "a", "b")
    bench.line.answer(Nacked(), "c")

    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(AccessRefused)
    assert len(caught.value.exceptions) == 1


async def test_answers_after_the_end_are_let_go() -> None:
    async with publishing() as bench:
        await bench.accept("a", "b")
        await bench.sent("a", "b")
    bench.line.answer(Nacked(), "a")
    bench.line.answer(Confirmed(), "b")

    assert bench.outbox.depth == 1
