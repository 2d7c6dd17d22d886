"""`make bench`: measure Tidings beside its peers on one broker, and print a table.

Takes AMQP_URI where it is set (a broker that may be filled: queues called `bench-…` are emptied),
else starts a broker of its own. `python -m benchmarks --help` lists how to narrow it.
"""

import json
import signal
import sys
import time
from types import FrameType

from benchmarks import goals, order, outbox, page, tables
from benchmarks.broker import Address, broker_for
from benchmarks.contestants import ALL, BUILD, Contestant, NotInstalled
from benchmarks.cores import Cores
from benchmarks.idle import start_and_idle
from benchmarks.measures import Session
from benchmarks.rounds import Results, run
from benchmarks.settings import Options, read
from common.errors import TidingsError
from common.service import say_error


def main() -> int:
    """Run what is asked for, and return the exit code."""
    options = read()
    signal.signal(signal.SIGTERM, _stop)  # so that all that was started is ended
    cores = Cores()
    try:
        with broker_for(options.uri, cores) as address:
            if options.broker:
                return _keep(address)
            return _run(options, cores, address)
    except TidingsError as error:
        say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _run(options: Options, cores: Cores, address: Address) -> int:
    began = time.monotonic()
    chosen = [one for one in ALL if not options.only or one.name in options.only]
    where = page.machine(cores, address.describe)
    print("\n".join(where), flush=True)
    results = Results()
    for one in chosen:
        _install(one, results)
    lines: list[str] = []
    if "start" in options.what and any(one.name == "tidings" for one in chosen):
        starts = min(5, options.sizes.rounds)
        idle = "idle" in options.what
        lines = start_and_idle(address.uri, cores, starts=starts, idle=idle)
        print("\n".join(lines), flush=True)
    run(Session(address.uri, options, cores, {}), chosen, results)
    if "outbox" in options.what and any(one.name == "tidings" for one in chosen):
        beside = results.of("publish", "faststream")
        plain = beside["per_second"] if isinstance(beside, dict) else None
        lines += outbox.measure(address.uri, cores, options.sizes, plain)
    if "order" in options.what and any(one.name == "tidings" for one in chosen):
        order.measure(address.uri, cores, options.sizes, results)
    measured = [line for table in tables.TABLES for line in tables.render(table, chosen, results)]
    remarks = [*results.remarks(), ""] if results.remarks() else []
    lines = [*measured, *order.render(results), *remarks, *goals.render(results), *lines]
    print("\n" + "\n".join(lines))
    print(f"{time.monotonic() - began:.0f} s in all", flush=True)
    _keep_numbers(results)
    if options.write:
        page.write(sizes=options.sizes, where=where, tables=lines, contestants=chosen)
        print(f"written: {page.PAGE.name}")
    return 0


def _install(one: Contestant, results: Results) -> None:
    try:
        one.install()
    except NotInstalled as error:
        results.out[one.name] = f"not installed: {error}"
        print(f"{one.name}: not installed: {error}", flush=True)


def _keep(address: Address) -> int:
    print(f"{address.describe}\nexport AMQP_URI={address.uri}\nCtrl-C removes it", flush=True)
    signal.pause()
    return 0


def _keep_numbers(results: Results) -> None:
    """Every round, for who wants more than medians."""
    kept = [
        {"measure": measure, "contestant": contestant, "rounds": rounds}
        for (measure, contestant), rounds in results.taken.items()
    ]
    (BUILD / "results.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _stop(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
