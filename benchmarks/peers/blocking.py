"""What contestants that block share: publishing one by one, or at a steady rate."""

import threading
import time
from collections.abc import Callable

from benchmarks.peers.measuring import NOT_SENT, WARM_UP, meter, say

Publish = Callable[[int, int], object]
"""Takes a number and the time for the event; returns when it is confirmed."""

THREADS = 4


def one_by_one(publish: Publish, events: int) -> None:
    """Publish with one in flight, for a peer that blocks."""
    publish(0, NOT_SENT)
    meter.begin()
    for number in range(1, events + 1):
        publish(number, NOT_SENT)
    meter.end(events)


def paced(connect: Callable[[], Publish], events: int, rate: float) -> None:
    """Publish at a steady rate: a peer that blocks until each confirm needs threads to keep it.

    `connect` is called in each thread, and returns how to publish from it.
    """
    due = iter(range(WARM_UP + events))
    turn = threading.Lock()
    everybody = threading.Barrier(THREADS + 1)

    def some() -> None:
        publish = connect()
        everybody.wait()
        began = time.perf_counter()
        while True:
            with turn:
                number = next(due, None)
                if number is None:
                    return
                time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            publish(number, NOT_SENT if number < WARM_UP else time.time_ns())

    threads = [threading.Thread(target=some) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    everybody.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    say("sent", per_second=(WARM_UP + events) / (time.perf_counter() - began))
