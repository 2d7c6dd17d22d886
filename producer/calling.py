"""Call a source function of any of the allowed shapes, and get its events one after the other."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from common.event import Event
from producer.schedule import Tick
from producer.source import Source
from producer.source_context import SourceContext

_END = object()


async def events_of(source: Source, tick: Tick) -> AsyncGenerator[Event, None]:
    """Call the source for a tick and yield what it returns or yields, whatever its shape.

    Async functions run on the loop. Plain ones run in a thread, as nobody can see whether they
    block; a plain generator makes each step there, so that back-pressure holds for it too. Raises
    whatever the source raises, and TypeError for anything that is not an `Event`.
    """
    arguments = (tick,) if source.takes_tick else ()
    if _runs_on_loop(source):
        result = source.function(*arguments)
    else:
        result = await asyncio.to_thread(source.function, *arguments)
    if inspect.isawaitable(result):
        result = await result
    if inspect.isasyncgen(result):
        async with aclosing(result):
            async for event in result:
                yield _checked(event, source)
    elif isinstance(result, Iterator):
        while (event := await asyncio.to_thread(next, result, _END)) is not _END:
            yield _checked(event, source)
    elif isinstance(result, list | tuple):
        for event in result:
            yield _checked(event, source)
    elif result is not None:
        yield _checked(result, source)


async def stream_of(source: Source, context: SourceContext) -> AsyncGenerator[list[Event], None]:
    """Start a stream and yield its events, those of a list together.

    The stream is closed in good order when this is.
    """
    arguments = (context,) if source.takes_context else ()
    async with aclosing(source.function(*arguments)) as made:
        async for one in made:
            yield [_checked(event, source) for event in (one if isinstance(one, list) else [one])]


def _runs_on_loop(source: Source) -> bool:
    function = inspect.unwrap(source.function)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _checked(event: object, source: Source) -> Event:
    if isinstance(event, Event):
        return event
    message = (
        f"{source.where}: source '{source.name}' made a {type(event).__name__}; "
        "return an Event, a list of Events or None, or yield Events"
    )
    raise TypeError(message)
