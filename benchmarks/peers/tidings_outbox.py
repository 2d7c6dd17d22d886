"""What an outbox on disk costs: a process that stores, drains, publishes through it, or ticks.

Called by `benchmarks.outbox`; each action says its result as one line of JSON.
"""

import asyncio
import os
import resource
import statistics
import sys
import time

from benchmarks.peers.measuring import TYPE, cpu_seconds, data, say
from common.broker import connect
from common.event import Event
from common.logs import configure
from common.metrics import Metrics
from common.probes import Health
from common.topology import EVENTS, Binding, Queue, Topology, events_topology
from producer.driver import Driver
from producer.facade import Producer
from producer.outbox.memory import MemoryOutbox
from producer.relay import ROLE, Relay
from producer.schedule import Tick
from producer.settings import ProducerSettings
from producer.source import build_sources, declarations_of, source
from producer.writer import EventWriter

NOBODY = "amqp://guest:guest@127.0.0.1:1/"
QUEUE = "bench-outbox"
CALLERS = 200
STORING_CALLERS = 500
SOURCES = 10
"""Each of them ticks 100 times a second."""


async def publish(home: str, events: int) -> None:
    """Publish from many callers at once, each waiting until its event is safe."""
    uri = os.environ["AMQP_URI"]
    async with connect(uri, name="bench") as connection:
        wanted = Topology(queues=(Queue(QUEUE),), bindings=(Binding(EVENTS, QUEUE, TYPE),))
        await connection.ensure(events_topology() + wanted, "declare")
    async with Producer(uri, outbox=home) as producer:
        await _called(producer, CALLERS * 5, CALLERS)
        wall, cpu = time.perf_counter(), cpu_seconds()
        await _called(producer, events, CALLERS)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    say("done", per_second=events / wall, cpu_us=cpu / events * 1e6)


async def store(home: str, events: int) -> None:
    """Accept events while there is no broker."""
    async with Producer(NOBODY, outbox=home) as producer:
        wall = time.perf_counter()
        await _called(producer, events, STORING_CALLERS)
        wall = time.perf_counter() - wall
        say("done", per_second=events / wall, peak_mib=_peak_mib())
        sys.stdout.flush()
        os._exit(0)  # as a crash would: what is safe is on disk


async def drain(home: str, events: int) -> None:
    """Send everything that waits on disk."""
    settings = ProducerSettings(AMQP_URI=os.environ["AMQP_URI"], outbox=home)
    relay = Relay(settings, health=Health(ROLE), metrics=Metrics())
    assert relay.outbox.depth >= events
    running = asyncio.create_task(relay.run())
    await relay.supervisor.connection()
    wall = time.perf_counter()
    await relay.outbox.drained()
    wall = time.perf_counter() - wall
    say("done", per_second=events / wall, peak_mib=_peak_mib())
    running.cancel()
    await asyncio.wait((running,))


async def tick(seconds: float) -> None:
    """Tick 1,000 times a second; say how late the sources are called."""
    late: list[float] = []

    def counted(tick: Tick) -> None:
        late.append(time.time() - tick.due_us / 1e6)

    async def called(tick: Tick) -> Event:
        counted(tick)
        return Event("tick", tick.number)

    declared = [source(every="10ms", name=f"s{number}")(called) for number in range(SOURCES)]
    outbox = MemoryOutbox(100_000)
    driver = Driver(outbox=outbox, writer=EventWriter("bench", 10_000), metrics=Metrics())
    sources = build_sources(declarations_of(declared[0]))
    tasks = [asyncio.create_task(driver.run(one)) for one in sources]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        async with asyncio.timeout(1):
            for entry in await outbox.take(1000):
                outbox.confirm(entry)
    driver.stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    cuts = statistics.quantiles(late, n=100, method="inclusive")
    say("done", per_second=len(late) / seconds, p50_ms=cuts[49] * 1e3, p99_ms=cuts[98] * 1e3)


async def _called(producer: Producer, events: int, callers: int) -> None:
    left = iter(range(events))

    async def caller() -> None:
        for _ in left:
            await producer.publish(TYPE, data(), timeout=120)

    await asyncio.gather(*(caller() for _ in range(callers)))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(action: str, *arguments: str) -> None:
    """Run one action."""
    configure(level="error", format_="json", service="bench")
    actions = {"publish": publish, "store": store, "drain": drain}
    if action == "tick":
        work = tick(float(arguments[0]))
    else:
        work = actions[action](arguments[0], int(arguments[1]))
    asyncio.run(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
