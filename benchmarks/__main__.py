"""Measure start, memory and throughput against a real broker: `make bench`.

Takes AMQP_URI where it is set, else starts a broker of its own. Numbers depend on the machine:
quote them with it.
"""

import asyncio
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.service import say_error
from consumer.main import Main
from consumer.registry import build_registry, declarations_of
from consumer.settings import ConsumerSettings
from ops.local_broker import find_or_start_broker
from producer.facade import Producer
from tidings import TidingsError, handler

EVENTS = 5_000
STARTS = 5


def main() -> int:
    """Run all and print a line for each."""
    given = os.environ.get("AMQP_URI")
    try:
        broker = None if given else find_or_start_broker()
    except TidingsError as error:
        say_error(error)
        return error.exit_code
    uri = given or (broker.amqp_uri if broker else "")
    os.environ["AMQP_URI"] = uri
    try:
        version = f"Python {platform.python_version()}, {os.cpu_count()} cores"
        print(f"{version}, {broker.describe if broker else 'the broker of AMQP_URI'}")
        _say("tidings --help", f"{_help_seconds() * 1000:.0f} ms", "goal: below 300 ms")
        started, memory = _start_and_memory()
        _say("start to subscribed", f"{started * 1000:.0f} ms", "goal: below 1 s")
        _say("idle consumer", f"{memory / 1024:.1f} MiB", "goal: below 64 MiB")
        asyncio.run(_throughput())
    finally:
        if broker is not None:
            broker.remove()
    return 0


def _say(what: str, value: str, remark: str = "") -> None:
    print(f"{what:<22} {value:>14}   {remark}", flush=True)


def _help_seconds() -> float:
    """Return the median of whole processes."""
    times = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tidings", "--help"], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@contextmanager
def _consumer() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tidings", "consumer"],
        env={**os.environ, "TIDINGS_LOG_FORMAT": "json", "TIDINGS_GROUP": "benchmark"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def _start_and_memory() -> tuple[float, int]:
    """Return seconds from exec to subscribed (median), and the resident KiB a while after."""
    times, memory = [], 0
    for _ in range(STARTS):
        began = time.perf_counter()
        with _consumer() as process:
            assert process.stdout is not None
            for line in process.stdout:
                if '"event":"subscribed"' in line:
                    break
            times.append(time.perf_counter() - began)
            time.sleep(2)
            listed = subprocess.run(
                ["ps", "-o", "rss=", "-p", str(process.pid)],
                capture_output=True,
                text=True,
                check=True,
            )
            memory = max(memory, int(listed.stdout))
    return statistics.median(times), memory


async def _throughput() -> None:
    seen = 0
    all_seen = asyncio.Event()

    @handler("benchmark.event")
    async def count() -> None:
        nonlocal seen
        seen += 1
        if seen == EVENTS:
            all_seen.set()

    uri = os.environ["AMQP_URI"]
    settings = ConsumerSettings(AMQP_URI=uri, group="benchmark", probes_port=0)
    stop = asyncio.Event()

    async with Producer() as producer:
        # The queue is there and bound once a consumer has started; then it fills without one.
        main = Main(settings, build_registry(declarations_of(count)))
        first = asyncio.create_task(main.run(stop))
        while not main.health.ready:  # noqa: ASYNC110 - a benchmark may poll
            await asyncio.sleep(0.05)
        stop.set()
        await first
        data = {"order": 7, "customer": "c-7731", "lines": ["x" * 20] * 8}
        with _measured("publish + confirm", EVENTS):
            await asyncio.gather(
                *(producer.publish("benchmark.event", data) for _ in range(EVENTS))
            )
    stop = asyncio.Event()
    main = Main(settings, build_registry(declarations_of(count)))
    with _measured("consume + ack", EVENTS):
        running = asyncio.create_task(main.run(stop))
        await all_seen.wait()
        stop.set()
        await running


@contextmanager
def _measured(what: str, count: int) -> Iterator[None]:
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    _say(what, f"{count / wall:,.0f}/s", f"{cpu / count * 1e6:.0f} µs CPU each")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
