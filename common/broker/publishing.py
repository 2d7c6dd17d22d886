"""Publish with confirms: always mandatory, persistent, with a deadline; the answer is a value."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    DeliveryError,
    PublishError,
)

from common.broker.translate import to_properties
from common.errors import AccessRefused, InvalidEvent
from common.message import Answer, Confirmed, Nacked, Publishing, Returned, Unknown
from common.stopping import asked_to_stop


class Publisher:
    """Publishes on a channel of its own; opens another when the broker closed it."""

    def __init__(self, connection: AbstractConnection, unblocked: asyncio.Event) -> None:
        self._connection = connection
        self._unblocked = unblocked
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._in_flight: dict[str, asyncio.Future[None]] = {}

    async def publish(self, publishing: Publishing, *, timeout: float) -> Answer:
        """Publish and wait, `timeout` seconds at most, for the broker's answer.

        Raises AccessRefused when the user may not publish there, InvalidEvent when the message
        cannot be written as AMQP. Everything else is an Answer.
        """
        try:
            async with asyncio.timeout(timeout), self._alone(publishing.message.message_id):
                await self._unblocked.wait()
                channel = await self._open()
                await channel.basic_publish(
                    publishing.message.body,
                    exchange=publishing.exchange,
                    routing_key=publishing.routing_key,
                    properties=to_properties(publishing),
                    mandatory=True,
                )
        except PublishError as error:
            return Returned(str(error.args[0]))
        except DeliveryError:
            return Nacked()
        except ChannelAccessRefused as error:
            message = f"exchange '{publishing.exchange}': this user may not publish: {error}"
            raise AccessRefused(message) from None
        except TimeoutError:
            blocked = "" if self._unblocked.is_set() else " (the broker has blocked publishing)"
            return Unknown(f"no answer within {timeout:g} s{blocked}")
        except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
            return Unknown(str(error) or type(error).__name__)
        except asyncio.CancelledError:
            # aiormq cancels whoever waits when the connection goes; nobody asked this task to stop.
            if asked_to_stop():
                raise
            return Unknown("connection lost")
        except (ValueError, TypeError) as error:
            raise InvalidEvent(f"cannot be sent as an AMQP message: {error}") from error
        return Confirmed()

    @asynccontextmanager
    async def _alone(self, message_id: str | None) -> AsyncIterator[None]:
        """Let one publish per message id be under way.

        aiormq finds a returned message by its id: two at once would report a false success.
        """
        if message_id is None:
            yield
            return
        while (other := self._in_flight.get(message_id)) is not None:
            await asyncio.shield(other)
        mine = self._in_flight[message_id] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._in_flight[message_id]
            mine.set_result(None)

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel(on_return_raises=True)
        return self._channel
