"""What a stream source may ask for, by annotating its first parameter `SourceContext`."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class SourceContext:
    """The cursor of a stream, kept with its events.

        @source(name="orders-file")
        async def orders(ctx: SourceContext) -> AsyncIterator[Event]:
            async for line, end in lines_from(ctx.cursor or 0):
                ctx.cursor = end
                yield Event("order.created", line)

    What is yielded and the cursor as it stands then are kept in one transaction, so set it before
    the `yield`. A list that is yielded is kept as a whole. The next start, after a crash too, gets
    the last cursor that was kept. An outbox in memory forgets it at the end of the process.
    """

    name: str
    """The source's."""
    cursor: Any = None
    """How far it has come: anything JSON can carry; None at the very first start."""
