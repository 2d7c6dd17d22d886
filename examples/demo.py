"""The handler that `make run` shows: it takes each tick, and fails now and then on purpose.

Of every ten ticks, one fails at its first attempt and succeeds at its second, and one is refused
for good. Which ones, the seed decides: the same ticks on every machine.
"""

import random
from dataclasses import dataclass

from tidings import Context, Reject, RetryPolicy, handler

SEED = 1867
BLOCK = 10


@dataclass(frozen=True)
class Tick:
    """What the built-in ticker sends."""

    name: str
    tick: int


def fate(tick: int) -> str:
    """Say what is to become of a tick: `fine`, `retried` or `dead`."""
    block, place = divmod(tick, BLOCK)
    retried, dead = random.Random(f"{SEED}/{block}").sample(range(BLOCK), 2)
    return {retried: "retried", dead: "dead"}.get(place, "fine")


@handler("tidings.tick", retry=RetryPolicy(attempts=3, first_delay=1, factor=2))
async def on_tick(tick: Tick, ctx: Context) -> None:
    """Handle a tick, or fail as the seed says."""
    ctx.logger.info("demo_handler", tick=tick.tick, attempt=ctx.attempt)
    match fate(tick.tick):
        case "retried" if ctx.attempt == 1:
            raise ConnectionError("the bank did not answer (on purpose)")
        case "dead":
            raise Reject("this customer is unknown (on purpose)")
