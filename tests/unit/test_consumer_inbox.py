"""The memory inbox: an event is in one hand at a time, and handled once."""

import asyncio

from consumer.inbox import Claim, MemoryInbox, key_of
from support.waiting import until

KEY = ("shop", "7")
BODY = b"{}"


async def test_an_event_that_is_done_is_not_taken_again() -> None:
    inbox = MemoryInbox()
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN
    inbox.done(KEY)

    assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN
    assert await inbox.claim(KEY, 5, BODY) is Claim.SEEN


async def test_a_copy_that_moved_on_is_finished_and_the_next_one_is_not() -> None:
    inbox = MemoryInbox()
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN
    inbox.moved(KEY)

    assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN
    assert await inbox.claim(KEY, 1, BODY) is Claim.TAKEN


async def test_what_was_forgotten_may_be_taken_again() -> None:
    inbox = MemoryInbox()
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN
    inbox.forget(KEY)

    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN


async def test_a_second_delivery_waits_for_the_run_that_is_going_on() -> None:
    inbox = MemoryInbox()
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN
    second = asyncio.create_task(inbox.claim(KEY, 0, BODY))
    await asyncio.wait([second], timeout=0.01)
    assert not second.done()

    inbox.done(KEY)

    await until(second.done)
    assert second.result() is Claim.SEEN


async def test_the_second_delivery_runs_when_nothing_came_of_the_first() -> None:
    inbox = MemoryInbox()
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN
    second = asyncio.create_task(inbox.claim(KEY, 0, BODY))
    await asyncio.wait([second], timeout=0.01)

    inbox.forget(KEY)

    await until(second.done)
    assert second.result() is Claim.TAKEN


async def test_events_of_two_sources_with_one_id_are_two_events() -> None:
    inbox = MemoryInbox()
    assert await inbox.claim(("a", "7"), 0, BODY) is Claim.TAKEN
    inbox.done(("a", "7"))

    assert await inbox.claim(("b", "7"), 0, BODY) is Claim.TAKEN


async def test_it_remembers_a_bounded_number_and_forgets_the_oldest() -> None:
    inbox = MemoryInbox(size=3)
    for number in range(4):
        assert await inbox.claim(("s", str(number)), 0, BODY) is Claim.TAKEN
        inbox.done(("s", str(number)))

    assert await inbox.claim(("s", "0"), 0, BODY) is Claim.TAKEN
    assert await inbox.claim(("s", "3"), 0, BODY) is Claim.SEEN


async def test_other_content_under_the_same_id_is_a_conflict_and_not_a_duplicate() -> None:
    inbox = MemoryInbox()
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN
    inbox.done(KEY)

    assert await inbox.claim(KEY, 0, b"[]") is Claim.CONFLICT
    assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN


async def test_a_run_that_lasts_does_not_keep_it_from_forgetting() -> None:
    inbox = MemoryInbox(size=10)
    assert await inbox.claim(("s", "slow"), 0, BODY) is Claim.TAKEN
    for number in range(100):
        assert await inbox.claim(("s", str(number)), 0, BODY) is Claim.TAKEN
        inbox.done(("s", str(number)))

    assert len(inbox) <= 11
    inbox.done(("s", "slow"))
    assert await inbox.claim(("s", "slow"), 0, BODY) is Claim.SEEN


def test_names_that_a_sender_makes_long_take_little_room() -> None:
    one, other = key_of("s" * 10_000, "1"), key_of("s" * 10_000, "2")

    assert one != other
    assert sum(map(len, one)) < 100
    assert key_of("shop", "7") == KEY


def test_names_that_are_no_unicode_are_told_apart_and_can_be_written() -> None:
    one, other = key_of("shop", "\udc80"), key_of("shop", "\udc81")

    assert one != other
    assert [part.encode() for part in one] != []
    assert key_of("shop", "é\U0001f600\0") == ("shop", "é\U0001f600\0")


async def test_it_forgets_after_a_time_however_few_events_come() -> None:
    now = 0.0
    inbox = MemoryInbox(keep=60.0, clock=lambda: now)
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN
    inbox.done(KEY)

    now = 59.9
    assert await inbox.claim(KEY, 0, BODY) is Claim.SEEN
    now = 60.0
    assert await inbox.claim(KEY, 0, BODY) is Claim.TAKEN


async def test_what_is_too_old_makes_room_as_others_come() -> None:
    now = 0.0
    inbox = MemoryInbox(keep=60.0, clock=lambda: now)
    for number in range(100):
        inbox.take(("s", str(number)), 0, BODY)
        inbox.done(("s", str(number)))
    now = 61.0

    for number in range(100, 200):
        inbox.take(("s", str(number)), 0, BODY)
        inbox.done(("s", str(number)))

    assert len(inbox) == 100


async def test_finish_says_at_once_what_done_and_moved_say() -> None:
    inbox = MemoryInbox()
    inbox.take(KEY, 0, BODY)
    await inbox.finish(KEY, done=False)
    assert inbox.take(KEY, 0, BODY) is Claim.SEEN
    assert inbox.take(KEY, 1, BODY) is Claim.TAKEN
    await inbox.finish(KEY, done=True)
    assert inbox.take(KEY, 2, BODY) is Claim.SEEN


async def test_what_is_not_in_hand_is_not_finished() -> None:
    inbox = MemoryInbox()
    inbox.done(KEY)
    inbox.forget(KEY)
    assert len(inbox) == 0
