"""How fast Tidings is there, and what it costs while nothing happens."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.contestants import ROOT
from benchmarks.cores import Cores, pinned

IDLE_SECONDS = 2


def start_and_idle(uri: str, cores: Cores, *, starts: int, idle: bool) -> list[str]:
    """Return the lines of a section: the command's help, start to subscribed, idle memory."""
    with pinned(cores.client):
        shown = _help_seconds(starts)
        subscribed, memory = _subscribed(uri, starts, idle=idle)
    lines = [
        "### Start and idle",
        "",
        f"- `tidings --help`: {shown * 1000:.0f} ms (goal: below 300 ms)",
        f"- `tidings consumer`, exec to subscribed: {subscribed * 1000:.0f} ms (goal: below 1 s)",
    ]
    if idle:
        lines.append(f"- idle consumer: {memory / 1024:.1f} MiB resident (goal: below 64 MiB)")
    return [*lines, ""]


def _help_seconds(starts: int) -> float:
    """Return the median of whole processes."""
    times = []
    for _ in range(starts):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tidings", "--help"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _subscribed(uri: str, starts: int, *, idle: bool) -> tuple[float, int]:
    """Return seconds from exec to subscribed (median), and the resident KiB a while after."""
    times, memory = [], 0
    for number in range(starts + 1):
        began = time.perf_counter()
        with _consumer(uri) as process:
            assert process.stdout is not None
            if not any('"event":"subscribed"' in line for line in process.stdout):
                raise RuntimeError("tidings consumer ended before it subscribed")
            if number:  # the first one makes the queues
                times.append(time.perf_counter() - began)
            if idle and number == starts:
                time.sleep(IDLE_SECONDS)
                memory = _resident_kib(process.pid)
    return statistics.median(times), memory


@contextmanager
def _consumer(uri: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tidings", "consumer"],
        cwd=ROOT,
        env={
            **os.environ,
            "AMQP_URI": uri,
            "TIDINGS_GROUP": "bench-idle",
            "TIDINGS_LOG_FORMAT": "json",
            "TIDINGS_PROBES_PORT": "0",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=50)  # it says more before it ends
        except subprocess.TimeoutExpired:
            process.kill()


def _resident_kib(pid: int) -> int:
    listed = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(listed.stdout)
