"""`make safety`: a table of what becomes of events that go wrong, in Tidings and its peers.

On a broker of its own. SAFETY_ONLY=tidings,celery and SAFETY_WHAT=raises,kill narrow it;
SAFETY_WRITE=1 writes docs/safety.md. Exits with 1 when a cell of Tidings is worse than kept with
its reason.
"""

import platform
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from types import FrameType

from benchmarks.contestants import NotInstalled
from benchmarks.safety import page
from benchmarks.safety.contestants import ALL, Entry
from benchmarks.safety.experiments import run
from benchmarks.safety.hosts import Hosts
from benchmarks.safety.judge import Cell, Verdict
from benchmarks.safety.settings import Options, read
from common.errors import TidingsError
from common.service import say_error
from ops.local_broker import find_or_start_broker


def main() -> int:
    """Run what is asked for, and return the exit code."""
    options = read()
    signal.signal(signal.SIGTERM, _stop)  # so that all that was started is ended
    entries = [one for one in ALL if one.name in options.only]
    began = time.monotonic()
    try:
        missing = _install(entries)
        broker = find_or_start_broker()
        try:
            hosts = Hosts(broker.amqp_uri, broker.management_uri)
            where = [
                f"- RabbitMQ {broker.version}, one node",
                f"- {platform.system()} {platform.release()}, Python {platform.python_version()}",
                *(f"- {one.name}: {one.library.version}" for one in entries),
            ]
            print("\n".join(where), flush=True)
            cells = _run(entries, options, hosts, missing)
        finally:
            broker.remove()
    except TidingsError as error:
        say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    said, reached = page.goal(cells)
    print("\n" + "\n".join((*page.table(entries, cells, options.what), "", said)))
    print(f"{time.monotonic() - began:.0f} s in all", flush=True)
    if options.write:
        today = datetime.now(UTC).date()
        page.write(entries=entries, cells=cells, what=options.what, where=where, day=today)
        print(f"written: {page.PAGE.name}")
    return 0 if reached else 1


def _install(entries: Sequence[Entry]) -> dict[str, str]:
    """Install all, and return why some cannot be."""
    missing = {}
    for one in entries:
        try:
            one.library.install()
        except NotInstalled as error:
            missing[one.name] = f"not installed: {error}"
            print(f"{one.name}: {missing[one.name]}", flush=True)
    return missing


def _run(
    entries: Sequence[Entry], options: Options, hosts: Hosts, missing: dict[str, str]
) -> dict[tuple[str, str], Cell]:
    """Run several cells at a time, and say each when it is done."""
    stop = Event()
    cells = {
        (name, what): Cell(Verdict.NOT_RUN, how=why)
        for name, why in missing.items()
        for what in options.what
    }

    def one_cell(entry: Entry, what: str) -> None:
        cell = cells[entry.name, what] = run(entry, what, hosts, stop)
        print(f"{entry.name}, {what}: {cell.text} ({cell.how})", flush=True)

    with ThreadPoolExecutor(options.at_once) as pool:
        # What takes longest comes first.
        running: list[Future[None]] = [
            pool.submit(one_cell, entry, what)
            for what in reversed(options.what)
            for entry in entries
            if entry.name not in missing
        ]
        try:
            for one in running:
                one.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return cells


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
