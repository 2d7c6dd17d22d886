"""One replica of a group at a time: it holds a name at the broker, and its end gives it up."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from common.broker import Connection
from common.errors import AccessRefused, BrokerUnavailable
from common.logs import get_logger

AGAIN_SECONDS = 0.05
"""Between two tries, where it waits."""


@asynccontextmanager
async def turn(connection: Connection, name: str, *, waits: bool) -> AsyncIterator[bool]:
    """Have the turn called `name`; False where another replica has it, and nobody `waits`.

    Without the right to hold it goes on as if it had it, and says so. Raises BrokerUnavailable.
    """
    try:
        held = await connection.hold(name)
        while waits and not held:
            await asyncio.sleep(AGAIN_SECONDS * (0.5 + random.random()))  # noqa: S311 - spread, no secret
            held = await connection.hold(name)
    except AccessRefused as error:
        get_logger().warning("turn_not_held", reason=str(error), remedy="tidings topology plan")
        yield True
        return
    try:
        yield held
    finally:
        if held:
            with suppress(BrokerUnavailable):  # it ends with the connection
                await connection.release(name)
