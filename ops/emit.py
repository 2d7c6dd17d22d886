"""`tidings emit TYPE --data JSON`: publish one event by hand."""

import sys
from argparse import Namespace
from typing import Any

from common.broker import connect
from common.errors import EXIT_OK, InvalidEvent
from common.event import parse_json
from common.settings import load
from ops.command import Stop, run
from producer.facade import Producer
from producer.settings import ProducerSettings

PUBLISH_SECONDS = 10.0
STDIN = "-"


def emit(options: Namespace) -> int:
    """Publish one event and print its id. Raises InvalidEvent for data that is not JSON."""
    data = _data(options.data)
    settings = load(ProducerSettings, source=options.source)

    async def work(_: Stop) -> int:
        # A Producer waits for a broker that is away; a person wants to hear of it now.
        async with connect(settings.uri, name="tidings emit: is the broker there?"):
            pass
        async with Producer(source=options.source) as producer:
            event = await producer.publish(
                options.type,
                data,
                key=options.key,
                subject=options.subject,
                id=options.event_id,
                timeout=PUBLISH_SECONDS,
            )
        print(event.id)
        return EXIT_OK

    return run(work)


def _data(text: str) -> Any:
    raw = sys.stdin.buffer.read() if text == STDIN else text.encode(errors="surrogateescape")
    try:
        return parse_json(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"--data is not JSON: {error}; a text is written '\"so\"'") from None
