"""The ordered intake without a broker: what runs when, and how a connection is left."""

import asyncio
from typing import cast

import pytest

from common.broker import Connection
from common.errors import BrokerUnavailable
from support.ordered import FIFO, KEYED, Bench, Line, session, taking
from support.waiting import until


async def test_those_of_a_key_run_one_after_the_other_and_the_keys_beside_each_other() -> None:
    async with taking() as bench, session(bench) as line:
        gate = bench.gate("a1", "b3")
        line.give("a1", "a2", "b3", "b4", "c5")
        await until(lambda: line.did == ["ack 5"])
        assert bench.running == {"a1", "b3"}
        gate.set()
        await until(lambda: len(line.did) == 5)
        assert not bench.kept

    assert [name for name in bench.begun if name[0] == "a"] == ["a1", "a2"]
    assert [name for name in bench.begun if name[0] == "b"] == ["b3", "b4"]


async def test_no_more_than_the_concurrency_run_and_all_have_their_turn() -> None:
    async with taking(concurrency=3) as bench, session(bench) as line:
        line.give(*(f"{chr(97 + number)}{number}" for number in range(20)))
        await until(lambda: len(line.did) == 20)

    assert bench.most == 3


async def test_what_is_held_holds_its_key_only_and_runs_again_after_its_seconds() -> None:
    loop = asyncio.get_running_loop()
    async with taking() as bench, session(bench) as line:
        bench.again["a1"] = 0.2
        line.give("a1", "a2", "b3")
        at = loop.time()
        await until(lambda: len(line.did) == 3)

    assert bench.begun == ["a1", "b3", "a1", "a2"]
    assert line.did == ["ack 3", "ack 1", "ack 2"]
    assert loop.time() - at >= 0.2


async def test_beside_one_that_must_be_alone_nothing_runs() -> None:
    async with taking() as bench, session(bench) as line:
        bench.alone.add("b2")
        first, second = bench.gate("a1"), bench.gate("b2")
        line.give("a1", "b2", "c3")
        await until(lambda: bench.running == {"a1"})
        first.set()
        await until(lambda: bench.running == {"b2"})
        second.set()
        await until(lambda: len(line.did) == 3)

    assert bench.begun == ["a1", "b2", "c3"]


async def test_an_error_of_one_ends_the_service_and_what_runs_and_begins_nothing_more() -> None:
    async def serve() -> None:
        async with taking(concurrency=2) as bench, session(bench) as line:
            begun.append(bench.begun)
            bench.gate("b2")
            bench.broken.add("a1")
            line.give("a1", "b2", "a3", "c4")
            await asyncio.Event().wait()

    begun: list[list[str]] = []
    with pytest.raises(ExceptionGroup) as raised:
        await serve()

    assert [str(error) for error in raised.value.exceptions] == ["a1"]
    assert begun == [["a1", "b2"]]


async def test_when_the_service_ends_while_it_leaves_nothing_more_begins() -> None:
    """Given a session that is cancelled only after what runs was."""

    async def broken() -> None:
        raise LookupError

    async def serve() -> None:
        async with asyncio.TaskGroup() as tasks:
            bench = Bench(tasks, FIFO, renew_after=0.3)
            served.append(bench)
            sessions.append(asyncio.create_task(bench.intake.session(cast("Connection", line))))
            await until(lambda: line.channels)
            bench.gate("a1")
            bench.slow_to_end.add("a1")
            line.give("a1", "a2")
            await until(lambda: bench.intake._leaving)
            line.give("b3")
            tasks.create_task(broken())

    line, served, sessions = Line(), list[Bench](), list[asyncio.Task[None]]()
    serving = asyncio.create_task(serve())
    await until(lambda: served and served[0].intake._over.done())
    sessions[0].cancel()
    await asyncio.wait((serving, *sessions))

    assert isinstance(serving.exception(), ExceptionGroup)
    assert served[0].begun == ["a1"]
    assert not served[0].running


async def test_a_drain_lets_finish_what_runs_and_gives_nothing_back() -> None:
    async with taking() as bench, session(bench) as line:
        gate = bench.gate("a1")
        line.give("a1", "a2", "a3")
        await until(lambda: bench.running)
        drain = asyncio.create_task(bench.intake.drain(within=5))
        await asyncio.sleep(0)
        line.give("b4")
        gate.set()
        await drain

    assert line.did == ["ack 1", "flush", "drop: stopping"]
    assert bench.begun == ["a1"]


async def test_a_drain_cancels_what_is_overdue_and_gives_nothing_back() -> None:
    async with taking() as bench, session(bench) as line:
        bench.gate("a1")
        line.give("a1", "a2", "b3")
        await until(lambda: line.did == ["ack 3"])
        await bench.intake.drain(within=0.05)

    assert line.did == ["ack 3", "flush", "drop: stopping"]
    assert not bench.running


async def test_a_lost_connection_ends_no_run_and_the_key_waits_for_its_end() -> None:
    async with taking() as bench:
        gate = bench.gate("a1")
        async with session(bench) as first:
            first.give("a1", "a2", "b3")
            await until(lambda: first.did == ["ack 3"])
        del bench.gates["a1"]
        async with session(bench) as second:
            second.give("a1", "a2", "c4")
            await until(lambda: second.did == ["ack 4"])
            assert bench.running == {"a1"}
            gate.set()
            await until(lambda: len(second.did) == 3)

    assert bench.begun == ["a1", "b3", "c4", "a1", "a2"]
    assert (first.did, second.did) == (["ack 3"], ["ack 4", "ack 1", "ack 2"])


async def test_what_was_held_when_the_connection_was_lost_runs_only_as_it_comes_again() -> None:
    loop = asyncio.get_running_loop()
    async with taking() as bench:
        bench.again["a1"] = 0.1
        async with session(bench) as first:
            first.give("a1", "a2")
            await until(lambda: bench.intake._lanes._held)
            over = loop.time() + 0.15
        assert not bench.kept
        async with session(bench) as second:
            bench.gate("a1")
            second.give("a1", "a2")
            await until(lambda: loop.time() > over, what="the first copy's seconds are over")
            assert bench.begun == ["a1", "a1"]
            bench.gates["a1"].set()
            await until(lambda: second.did == ["ack 1", "ack 2"])


async def test_what_has_been_in_hand_for_long_is_taken_anew_when_what_runs_is_done() -> None:
    async with taking(renew_after=0.3) as bench, session(bench) as line:
        bench.again["a1"] = 60
        gate = bench.gate("b2")
        line.give("a1", "b2", "b3")
        await until(lambda: bench.intake._leaving)
        line.give("c4")
        gate.set()
        await until(line.closed.is_set)

    assert bench.begun == ["a1", "b2"]
    assert line.did == [
        "ack 2", "flush", "drop: to take anew what has been in hand for long"
    ]  # fmt: skip


async def test_leaving_does_not_wait_for_what_runs_of_a_connection_that_was_lost_before() -> None:
    async with taking(renew_after=0.3) as bench:
        gate = bench.gate("z9")
        async with session(bench) as first:
            first.give("z9")
            await until(lambda: bench.running)
        async with session(bench) as second:
            bench.again["a1"] = 60
            second.give("a1")
            await until(second.closed.is_set)
            assert bench.running == {"z9"}
        gate.set()

    assert second.did[-1].startswith("drop: to take anew")


async def test_leaving_ends_at_once_when_the_connection_is_lost_meanwhile() -> None:
    async with taking(renew_after=0.3) as bench:
        gate = bench.gate("a1")
        async with session(bench) as line:
            line.give("a1")
            await until(lambda: bench.intake._leaving)
            line.lose()
            await until(lambda: not bench.intake._leaving)
            assert bench.running == {"a1"}
        gate.set()


async def test_a_stop_while_it_leaves_drops_the_connection_once() -> None:
    async with taking(renew_after=0.3) as bench, session(bench) as line:
        gate = bench.gate("a1")
        line.give("a1", "a2")
        await until(lambda: bench.intake._leaving)
        drain = asyncio.create_task(bench.intake.drain(within=5))
        await asyncio.sleep(0)
        gate.set()
        await drain

    assert line.did == ["ack 1", "flush", "drop: stopping"]


async def test_a_subscription_that_ends_is_the_end_of_its_connection() -> None:
    async with taking() as bench:
        line = Line()
        running = asyncio.create_task(bench.intake.session(cast("Connection", line)))
        await until(lambda: line.channels)
        line.channels[FIFO.entrance].ended.set_result("its queue is gone")
        with pytest.raises(BrokerUnavailable, match="its queue is gone"):
            await running

    assert line.did == ["drop: its queue is gone"]


async def test_partitions_are_taken_and_left_when_another_replica_comes() -> None:
    async with taking(KEYED) as bench, session(bench) as line:
        await until(lambda: set(KEYED.queue_names) <= line.channels.keys())
        line.give("a1", queue=KEYED.partition(1))
        await until(lambda: line.did == ["ack 1"])
        line.counts["g.suspects"] = 2
        await until(line.closed.is_set)

    assert line.did[1:] == [*["flush"] * 4, "drop: to share the partitions among 2"]


async def test_of_thousands_of_events_nothing_is_kept() -> None:
    async with taking() as bench:
        for part in range(4):
            async with session(bench) as line:
                names = [f"{chr(97 + number % 20)}{number}" for number in range(2000)]
                bench.again = dict.fromkeys(names[:: 7 + part], 0.001)
                line.give(*names)
                await until(lambda line=line: len(line.did) == 2000)  # type: ignore[misc]
                assert not bench.kept
