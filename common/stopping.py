"""Tell a cancellation that somebody asked for from one that a library lets slip."""

import asyncio


def asked_to_stop() -> bool:
    """Whether the current task was cancelled on purpose.

    Libraries cancel the futures that others wait for (aiormq when a connection goes): the
    CancelledError that comes of it looks the same, and must not end a task that nobody stops.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
