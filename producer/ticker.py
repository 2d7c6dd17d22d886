"""The built-in source, for a producer that was given no modules: an event each second."""

from common.event import Event
from common.modules import location_of
from producer.schedule import Every, Tick
from producer.source import Source
from producer.ticks import SKIP, Timing

NAME = "ticker"
TYPE = "tidings.tick"


async def tick(due: Tick) -> Event:
    """Make the event of a tick; its number is the tick's place on the grid of whole seconds."""
    return Event(TYPE, {"name": NAME, "tick": due.number})


TICKER = Source(
    function=tick,
    timing=Timing(Every.read("1s"), SKIP, 0, NAME),
    name=NAME,
    where=location_of(tick),
    takes_tick=True,
)
