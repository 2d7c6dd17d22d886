"""One timer wakes all whose time is up, and nobody else."""

import asyncio

from producer.deadlines import OUT_OF_TIME, PAUSE_SECONDS, Deadlines, Waiter


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def woken(waiter: Waiter) -> bool:
    async with asyncio.timeout(5):
        return await waiter is OUT_OF_TIME


async def test_who_waits_is_woken_at_the_deadline_and_not_before() -> None:
    deadlines, waiter = Deadlines(), Waiter()
    deadline = soon(0.03)

    deadlines.begin(waiter, deadline)

    assert await woken(waiter)
    assert 0 <= asyncio.get_running_loop().time() - deadline < 1


async def test_a_deadline_that_is_over_already_wakes_too() -> None:
    deadlines, waiter = Deadlines(), Waiter()

    deadlines.begin(waiter, soon(-1))

    assert await woken(waiter)


async def test_who_comes_later_with_an_earlier_deadline_is_woken_first() -> None:
    deadlines, patient, hasty = Deadlines(), Waiter(), Waiter()
    deadlines.begin(patient, soon(0.1))
    deadlines.begin(hasty, soon(0.01))

    assert await woken(hasty)
    assert not patient.done()
    assert await woken(patient)


async def test_who_is_done_or_cancelled_or_has_ended_is_left_alone() -> None:
    deadlines = Deadlines()
    done, cancelled, ended, last = Waiter(), Waiter(), Waiter(), Waiter()
    for waiter in (done, cancelled, ended):
        deadlines.begin(waiter, soon(0.01))
    deadlines.begin(last, soon(0.05))

    done.set_result(None)
    cancelled.cancel()
    deadlines.end(ended)

    assert await woken(last)
    assert done.result() is None
    assert cancelled.cancelled()
    assert not ended.done()


async def test_many_deadlines_are_looked_at_no_oftener_than_it_is_useful() -> None:
    """10,000 that are due one shortly after the other must not mean 10,000 looks at all of them."""
    looks = 0

    class Counted(Deadlines):
        def _look(self) -> None:
            nonlocal looks
            looks += 1
            super()._look()

    deadlines, waiters = Counted(), [Waiter() for _ in range(10_000)]
    began = asyncio.get_running_loop().time()
    for number, waiter in enumerate(waiters):
        deadlines.begin(waiter, began + 0.1 + number * 0.000_01)

    assert all([await woken(waiter) for waiter in waiters])

    assert looks <= (asyncio.get_running_loop().time() - began) / PAUSE_SECONDS + 2


async def test_nothing_is_left_behind_by_who_was_in_time() -> None:
    deadlines = Deadlines()
    for _ in range(10_000):
        waiter = Waiter()
        deadlines.begin(waiter, soon(60))
        deadlines.end(waiter)

    assert len(deadlines._waiting) == 0
    deadlines.stop()


async def test_after_the_stop_nobody_is_woken() -> None:
    deadlines, waiter = Deadlines(), Waiter()
    deadlines.begin(waiter, soon(0.01))

    deadlines.stop()
    await asyncio.sleep(0.03)

    assert not waiter.done()
