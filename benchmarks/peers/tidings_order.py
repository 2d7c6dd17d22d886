"""What `benchmarks.order` drains: publishes one event of each subject, for the harness to copy.

Called with `plain` or `priorities`; the events wait in QUEUE.
"""

import asyncio
import os
import sys

from benchmarks.peers.measuring import MARKER, data

TYPE = "benchmark.order"
"""As long as the type of the other measures, and no other group asks for it."""
QUEUE = "bench-order"
SUBJECTS = 1_000
LEVELS = 10
"""Priorities, 0 and above."""


async def seed(*, priorities: bool) -> None:
    from common.broker import connect  # noqa: PLC0415 - the harness needs the names only
    from common.topology import EVENTS, Binding, Queue, Topology, events_topology  # noqa: PLC0415
    from tidings import Producer  # noqa: PLC0415

    async with connect(os.environ["AMQP_URI"], name="bench") as connection:
        wanted = Topology(queues=(Queue(QUEUE),), bindings=(Binding(EVENTS, QUEUE, TYPE),))
        await connection.ensure(events_topology() + wanted, "declare")
    async with Producer() as producer:
        for number in range(SUBJECTS):
            subject = f"subject-{number:03d}"
            carried = data()
            # So that the whole event is as long as one without a subject.
            carried["text"] = carried["text"][len(f',"subject":"{subject}"') :]
            await producer.publish(
                TYPE,
                carried,
                id=MARKER,
                subject=subject,
                priority=number % LEVELS if priorities else None,
            )


if __name__ == "__main__":
    os.environ["TIDINGS_SOURCE"] = "benchmark"
    asyncio.run(seed(priorities=sys.argv[1] == "priorities"))
