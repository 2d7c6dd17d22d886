"""How straight the path of an event is: own calls and files per event: `make straight`.

Counts calls of Python functions of ours while a consumer handles events, and while a producer
publishes them; what the standard library and other packages call is not counted. A report, not a
gate. For comparison, consuming, by the same count of their own packages: FastStream 122 calls in 29
files, Dramatiq 77 in 14, Taskiq 52 in 21.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from common.service import say_error
from consumer.main import Main
from consumer.registry import build_registry, declarations_of
from consumer.settings import ConsumerSettings
from ops.local_broker import find_or_start_broker
from producer.facade import Producer
from tidings import TidingsError, handler

EVENTS = 500
WARM_UP = 100
"""Events that are not counted: what is made once is made then."""
ROOT = Path(__file__).parent.parent
OURS = tuple(f"{ROOT / room}/" for room in ("common", "producer", "consumer"))


class Calls:
    """Counts the calls of our own functions in this thread while it is switched on."""

    def __init__(self) -> None:
        self.by_function: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count within the block."""
        sys.setprofile(self._count)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _count(self, frame: FrameType, what: str, _: object) -> None:
        code = frame.f_code
        if what == "call" and code.co_filename.startswith(OURS):
            self.by_function[code.co_filename, code.co_qualname] += 1

    def say(self, what: str, events: int) -> None:
        """Print a summary, then a line for each file."""
        each = {
            key: count / events
            for key, count in self.by_function.items()
            if count >= events / 2  # the rest happens now and then, not for each event
        }
        files = Counter[str]()
        for (file, _), count in each.items():
            files[file] += count  # type: ignore[assignment] # a fraction of a call
        print(f"{what}: {sum(each.values()):.1f} calls in {len(files)} files per event")
        for file, count in files.most_common():
            names = ", ".join(name for (one, name) in each if one == file)
            print(f"  {count:5.1f}  {Path(file).relative_to(ROOT)}: {names}")


def main() -> int:
    """Count both ways against a broker of its own, or the one of AMQP_URI."""
    given = os.environ.get("AMQP_URI")
    try:
        broker = None if given else find_or_start_broker()
    except TidingsError as error:
        say_error(error)
        return error.exit_code
    try:
        asyncio.run(_count(given or (broker.amqp_uri if broker else "")))
    finally:
        if broker is not None:
            broker.remove()
    return 0


async def _count(uri: str) -> None:
    consumed, published = Calls(), Calls()
    seen, switch = 0, consumed.counted()
    done = asyncio.Event()

    @handler("straight.event")
    async def take(data: dict[str, int]) -> None:  # noqa: ARG001 - so that it is validated
        nonlocal seen
        seen += 1
        if seen == WARM_UP:
            switch.__enter__()
        if seen == WARM_UP + EVENTS:
            switch.__exit__(None, None, None)
            done.set()

    settings = ConsumerSettings(AMQP_URI=uri, group="straight", probes_port=0)
    consumer = Main(settings, build_registry(declarations_of(take)))
    stop = asyncio.Event()
    running = asyncio.create_task(consumer.run(stop))
    while not consumer.health.ready:  # noqa: ASYNC110 - a benchmark may poll
        await asyncio.sleep(0.05)
    stop.set()
    await running  # its queue is there now
    async with Producer(uri) as producer:
        for number in range(WARM_UP):
            await producer.publish("straight.event", {"number": number})
        with published.counted():
            await asyncio.gather(
                *(producer.publish("straight.event", {"number": n}) for n in range(EVENTS))
            )
    stop = asyncio.Event()
    consumer = Main(settings, build_registry(declarations_of(take)))
    running = asyncio.create_task(consumer.run(stop))
    await done.wait()
    stop.set()
    await running
    consumed.say("consume", EVENTS)
    published.say("publish", EVENTS)


if __name__ == "__main__":
    sys.exit(main())
