"""Celery in `make safety`.

Defaults: `Celery("safety", broker=uri)`, `@app.task`, `celery -A MODULE worker` (prefork, a process
for each core; acks before the task runs; prefetch 4 for each process; classic durable queue).
Nothing is set but the task's name.
"""

import os

from celery import Celery

from benchmarks.peers.measuring import MARKER
from benchmarks.peers.safety_events import TYPE, data, handle, no_core_dump

no_core_dump()

app = Celery("safety", broker=os.environ["AMQP_URI"])


@app.task(name=TYPE)
def take(got: dict[str, str]) -> None:
    handle(got["id"])


if __name__ == "__main__":
    # The id of a task is its own to choose; ours can be found again in the bytes.
    take.apply_async((data(),), task_id=MARKER)
