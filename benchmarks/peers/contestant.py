"""The command line of a contestant in Python.

A contestant is a program with these sub-commands, which say results as lines of JSON:

    seed                           make the queue and publish one event, whose id is MARKER
    consume KIND EVENTS            handle that many waiting events, then end
    work SECONDS                   handle waiting events for so long, then say the peak of memory
    publish EVENTS --window N      publish with at most N unconfirmed
    send EVENTS --rate PER_SECOND  publish at a steady rate, with the time in each event

KIND is `nothing` (the handler returns at once), `awaits` (`asyncio.sleep(0)`, then returns),
`retry` (fails once for each event), `latency` (compares the time in the event with the clock).
"""

import argparse
import os
import threading
from collections.abc import Callable

from benchmarks.peers.measuring import meter

LIMIT_SECONDS = 900
"""A contestant ends by itself after this, even when who started it is gone."""


def run(
    *,
    seed: Callable[[], object],
    consume: Callable[[str], object],
    publish: Callable[[int, int], object],
    send: Callable[[int, float], object],
) -> None:
    """Run the sub-command of the command line with a contestant's four functions."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("seed")
    one = commands.add_parser("consume")
    one.add_argument("kind", choices=("nothing", "awaits", "retry", "latency"))
    one.add_argument("events", type=int)
    one = commands.add_parser("work")
    one.add_argument("seconds", type=float)
    one = commands.add_parser("publish")
    one.add_argument("events", type=int)
    one.add_argument("--window", type=int, required=True)
    one = commands.add_parser("send")
    one.add_argument("events", type=int)
    one.add_argument("--rate", type=float, required=True)
    options = parser.parse_args()
    limit = threading.Timer(LIMIT_SECONDS, os._exit, (3,))
    limit.daemon = True
    limit.start()
    match options.command:
        case "seed":
            seed()
        case "consume":
            meter.expect(options.kind, options.events)
            consume(options.kind)
        case "work":
            meter.seconds = options.seconds
            consume("nothing")
        case "publish":
            publish(options.events, options.window)
        case "send":
            send(options.events, options.rate)
