"""`Producer`: publish from a program of your own; no service around it, no signals, no probes.

    async with Producer() as producer:          # AMQP_URI names the broker
        event = await producer.publish("order.created", {"order": 7}, key="c-7731")

`publish` returns when the broker has stored the event, or raises what is known about it. With an
outbox on disk (`outbox="sqlite:///outbox.db"`) it returns when the broker or the disk has it: what
it has returned is sent, by this process or by the next one with the same file.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from common.errors import (
    BrokerUnavailable,
    ConfirmUnknown,
    PublishFailed,
    Rejected,
    TidingsError,
    Unroutable,
)
from common.event import Event, ExtensionValue
from common.message import Confirmed, Nacked, Publishing, Returned, Unknown
from common.metrics import Metrics
from common.probes import Health
from common.settings import load
from producer.answers import explained
from producer.arguments import (
    Expiry,
    checked_delay,
    checked_priority,
    checked_timeout,
    extensions_of,
)
from producer.deadlines import OUT_OF_TIME, Deadlines
from producer.outbox.entry import Entry
from producer.relay import ROLE, Relay
from producer.settings import ProducerSettings

PUBLISH_SECONDS = 30.0


class Producer:
    """Publishes events over one connection that it keeps up; use it with `async with`.

    Everything not given is read from the environment: `uri` from AMQP_URI, `source` from
    TIDINGS_SOURCE, and so on. Entering does not wait for the broker. One `Producer` serves any
    number of tasks of one event loop at the same time.
    """

    def __init__(
        self,
        uri: str | None = None,
        *,
        source: str | None = None,
        outbox: str | None = None,
        outbox_size: int | None = None,
    ) -> None:
        self._given = {
            "amqp_uri": uri,
            "source": source,
            "outbox": outbox,
            "outbox_size": outbox_size,
        }
        self._health = Health(ROLE)
        self._relay: Relay | None = None
        self._running: asyncio.Task[None] | None = None
        self._drain_seconds = 0.0
        self._deadlines = Deadlines()

    async def __aenter__(self) -> Self:
        """Begin to connect. Raises ConfigError for a wrong setting."""
        if self._relay is not None:
            raise RuntimeError("a Producer can be entered only once; make another one")
        settings = load(ProducerSettings, **self._given)
        self._drain_seconds = settings.drain_timeout
        self._relay = Relay(settings, health=self._health, metrics=Metrics())
        self._running = asyncio.create_task(self._relay.run(), name="tidings producer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send what other tasks' `publish` calls have handed over, then close the connection.

        What is not confirmed within TIDINGS_DRAIN_TIMEOUT is raised from those calls.
        """
        relay, running = self._entered()
        try:
            await relay.flush(self._drain_seconds)
        finally:
            running.cancel()
            await asyncio.wait((running,))
            self._deadlines.stop()
        # A TidingsError that ended it was given to every publish; here it would hide the block's.
        bug = None if running.cancelled() else running.exception()
        if bug is not None and not isinstance(bug, TidingsError):
            raise bug

    async def publish(  # noqa: PLR0913 - what an event may have; all but two by name
        self,
        type: str,  # noqa: A002 - the attribute's own name
        data: Any = None,
        *,
        key: str | None = None,
        subject: str | None = None,
        id: str | None = None,  # noqa: A002 - the attribute's own name
        source: str | None = None,
        extensions: Mapping[str, ExtensionValue] | None = None,
        priority: int | None = None,
        delay: float | str | timedelta | None = None,
        expires: Expiry | None = None,
        timeout: float = PUBLISH_SECONDS,
    ) -> Event:
        """Make an event and publish it; return it as it was sent, with its id and time.

        `data`: whatever JSON can carry, a pydantic model, or bytes. `key`: events of one key are
        handled in order where the group asks for it. `id`: give the same one to send an event
        again. `priority`: 0 to 31, higher is sooner where the broker has levels. `delay`: reaches
        the groups not earlier than after that ('10m', seconds, a timedelta). `expires`: a time, or
        so long from now; after it consumers set the event aside instead of handling it. `timeout`:
        seconds in all, waiting for room and for the broker included.

        Raises InvalidEvent at once, and after `timeout` what the last answer was: Rejected,
        Unroutable, ConfirmUnknown or OutboxFull. AccessRefused or TopologyMismatch when the broker
        will never take it as things are.
        """
        relay = self._serving()
        writer = relay.writer
        if key is None and expires is None and not extensions:
            given: Mapping[str, ExtensionValue] = {}
        else:
            given = extensions_of(extensions, key=key, expires=expires, now=writer.now())
        event = writer.made(type, data, id or "", source or "", subject, given)
        publishing = writer.publishing(
            event, priority=checked_priority(priority), delay=checked_delay(delay)
        )
        return await self._safe(relay, event, publishing, timeout)

    async def publish_event(self, event: Event, *, timeout: float = PUBLISH_SECONDS) -> Event:
        """Publish an event that is already made; see `publish`. Empty attributes are filled in."""
        relay = self._serving()
        whole = relay.writer.fresh(event)
        return await self._safe(relay, whole, relay.writer.publishing(whole), timeout)

    async def _safe(
        self, relay: Relay, event: Event, publishing: Publishing, timeout: float
    ) -> Event:
        """Hand a complete event over and wait until it is safe."""
        deadline = asyncio.get_running_loop().time() + checked_timeout(timeout)
        entry = await relay.outbox.append(publishing, deadline=deadline)
        self._deadlines.begin(entry.safe, deadline)
        try:
            problem = await entry.safe
        except asyncio.CancelledError:
            relay.outbox.withdraw(entry)
            raise
        finally:
            self._deadlines.end(entry.safe)
        if problem is OUT_OF_TIME:
            relay.outbox.withdraw(entry)
            raise self._given_up(entry, event, timeout)
        if problem is not None:
            raise _again(problem)
        return event

    def _serving(self) -> Relay:
        relay, running = self._entered()
        if running.done():
            raise _end_of(running)
        return relay

    def _entered(self) -> tuple[Relay, asyncio.Task[None]]:
        if self._relay is None or self._running is None:
            raise RuntimeError("use the Producer inside `async with Producer() as producer:`")
        return self._relay, self._running

    def _given_up(self, entry: Entry, event: Event, timeout: float) -> PublishFailed:
        """Say what is known about an event that was not confirmed in time, and what to do."""
        what = f"event '{event.type}' (id {event.id}) was not confirmed within {timeout:g} s"
        again = f"publish it again with id='{event.id}'"
        if entry.on_disk:
            return ConfirmUnknown(f"{what}: it is just being written to disk; {again}")
        if entry.sent_at is not None:
            return ConfirmUnknown(f"{what}: no answer yet, it may be stored; {again}")
        match entry.last:
            case Nacked() as answer:
                return Rejected(
                    f"{what}: {explained(answer)}. Other queues may have it; make room in the full "
                    f"queue, then {again}"
                )
            case Returned() as answer:
                return Unroutable(
                    f"{what}: {explained(answer)}. Start a consumer of this type, or any "
                    f"service with TIDINGS_TOPOLOGY=declare, then {again}"
                )
            case Unknown() as answer:
                return ConfirmUnknown(f"{what}: {explained(answer)}; it may be stored: {again}")
            case Confirmed() | None:
                reason = "; ".join(self._health.reasons) or "others were before it"
                return ConfirmUnknown(f"{what} and never sent ({reason}); {again}")


def _end_of(running: asyncio.Task[None]) -> TidingsError:
    """Say why the producer does not run any more."""
    if running.cancelled():
        return BrokerUnavailable("this Producer was closed; publish inside its `async with` block")
    error = running.exception()
    if isinstance(error, TidingsError):
        return _again(error)
    raise RuntimeError("the Producer has failed; this is a bug of Tidings") from error


def _again(error: TidingsError) -> TidingsError:
    """Copy an error that several callers get: each raise adds its traceback to the object."""
    return type(error)(*error.args)
