"""The built-in source, for a producer that was given no modules: an event each second."""

from common.event import Event
from common.modules import location_of
from producer.schedule import Schedule, Tick
from producer.source import Source

NAME = "ticker"
TYPE = "tidings.tick"


async def tick(due: Tick) -> Event:
    """Make the event of a tick; its number is the tick's place on the grid of whole seconds."""
    return Event(TYPE, {"name": NAME, "tick": due.number})


TICKER = Source(
    function=tick,
    schedule=Schedule.every("1s"),
    name=NAME,
    where=location_of(tick),
    takes_tick=True,
)
