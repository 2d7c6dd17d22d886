"""Consume a queue on the lane: deliveries to a callback, settles of a loop turn in one send."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.commands import Basic

from common.broker.fastlane.acks import AckLedger
from common.broker.fastlane.content import Assembly
from common.broker.fastlane.methods import (
    CHANNEL_CLOSE,
    DELIVER,
    Deliver,
    ack_frame,
    decode_close,
    decode_deliver,
    kind_of,
    nack_frame,
    reject_frame,
)
from common.broker.fastlane.transport import Lane
from common.broker.fastlane.whole import whole_delivery
from common.broker.fastlane.wire import METHOD
from common.message import Delivery, Message
from common.stopping import asked_to_stop

RPC_SECONDS = 10.0
CLOSE_SECONDS = 3.0
"""Less than what a service has after its drain deadline."""
_GONE = (AMQPError, ChannelInvalidStateError, OSError, RuntimeError, TimeoutError)


class Subscription:
    """One consumer on a channel of its own. `ended` tells, with the reason, when it is over.

    Unsettled deliveries are as many as the prefetch: the broker sends no more.
    """

    def __init__(
        self,
        lane: Lane,
        channel: AbstractChannel,
        *,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
    ) -> None:
        self._lane = lane
        self._channel = channel
        self._number = channel.number
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._assembly = Assembly(self._deliver)
        self._ledger = AckLedger()
        self._settling = False
        self._tag = ""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self, queue: str) -> None:
        """Consume. The errors of a refused consume are the caller's to explain."""
        channel = self._channel
        channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        channel.closing.add_done_callback(self._on_closed)
        self._lane.attach(self._number, self)
        try:
            await channel.basic_qos(prefetch_count=self._prefetch, timeout=RPC_SECONDS)
            reply = await channel.basic_consume(queue, _never, timeout=RPC_SECONDS)
        except BaseException:
            self._end("not started")  # nobody waits for what may still arrive
            raise
        self._tag = reply.consumer_tag or ""

    def alive(self) -> bool:
        """Whether its channel is open."""
        return not self.ended.done()

    def ack(self, tag: int) -> bool:
        """Acknowledge; False when it is too late."""
        if not self._ledger.ack(tag) or self.ended.done():
            return False
        if not self._settling:
            self._settle_soon()
        return True

    def nack(self, tag: int) -> bool:
        """Hand back to the queue; False when it is too late."""
        return self._given_back(self._ledger.nack(tag))

    def reject(self, tag: int) -> bool:
        """Hand back to the queue, counted; False when it is too late."""
        return self._given_back(self._ledger.reject(tag))

    async def cancel(self) -> None:
        """Ask for no more deliveries. What is under way still arrives before this returns."""
        if self.ended.done():
            return
        with self._ending_at_error():
            await self._channel.basic_cancel(self._tag, timeout=RPC_SECONDS)

    async def flush(self) -> None:
        """Write every settle and make one round trip: afterwards the broker has them all."""
        if self.ended.done():
            return
        self._write_settles()
        with self._ending_at_error():
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._channel.basic_qos(prefetch_count=self._prefetch)

    async def close(self) -> None:
        """Write every settle, make one round trip so that the broker has them all, and close.

        Without the round trip a broker drops the last acks of a channel that closes at once.
        """
        if not self.ended.done():
            self._write_settles()
            with self._ending_at_error():
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._channel.basic_qos(prefetch_count=self._prefetch)
                    self._end("closed")
                    await self._channel.close()
        self._lane.detach(self._number, self)

    @contextmanager
    def _ending_at_error(self) -> Iterator[None]:
        """After an RPC that failed or was cancelled aiormq closes the channel: settle no more."""
        try:
            yield
        except _GONE as error:
            self._end(str(error))
        except BaseException:
            self._end("cancelled")
            raise
        # aiormq turns the cancellation of an RPC into an error of its own, and Python's `wait_for`
        # (before 3.12) forgets one that comes together with the answer.
        if asked_to_stop():
            self._end("cancelled")
            raise asyncio.CancelledError

    # What the lane calls.

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take what belongs to deliveries."""
        if kind != METHOD:
            self._assembly.add(kind, payload)
            return True
        method = kind_of(payload)
        if method == DELIVER:
            self._assembly.begin(decode_deliver(payload))
            return True
        if method == CHANNEL_CLOSE:
            # At once: after aiormq's answer a settle would be for a channel that does not exist.
            code, text = decode_close(payload)
            self._end(f"{code} {text}")
            self._lane.detach(self._number, self)
        return False

    def frames(self, chunk: bytes, at: int, size: int) -> int:
        """Take the deliveries from `at` on that lie whole in the chunk."""
        number = self._number
        while self._assembly.idle:
            found = whole_delivery(chunk, at, size, number)
            if found is None:
                break
            at, tag, redelivered, exchange, routing_key, message = found
            if not self.ended.done():
                self._ledger.delivered(tag)
                self._on_delivery(Delivery(message, exchange, routing_key, redelivered, tag, self))
        return at

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self._end(reason)

    def _deliver(self, method: Deliver, message: Message) -> None:
        if self.ended.done():
            return
        tag, redelivered, exchange, routing_key = method
        self._ledger.delivered(tag)
        self._on_delivery(Delivery(message, exchange, routing_key, redelivered, tag, self))

    def _given_back(self, taken: bool) -> bool:  # noqa: FBT001 - the ledger's answer, passed on
        if not taken or self.ended.done():
            return False
        if not self._settling:
            self._settle_soon()
        return True

    def _settle_soon(self) -> None:
        self._settling = True
        self._lane.settle_at_flush(self._write_settles)

    def _write_settles(self) -> None:
        self._settling = False
        if self.ended.done():
            return
        settles, number = self._ledger.take(), self._number
        frames = [
            *[nack_frame(number, tag) for tag in settles.nacked],
            *[reject_frame(number, tag) for tag in settles.rejected],
        ]
        if settles.prefix:
            frames.append(ack_frame(number, settles.prefix, multiple=True))
        frames += [ack_frame(number, tag, multiple=False) for tag in settles.acked]
        if frames:
            self._lane.write(b"".join(frames))

    def _on_cancel(self, frame: Basic.Cancel) -> None:
        # Runs inside aiormq's channel reader: an RPC from here would wait for itself.
        self._end(
            f"the broker cancelled consumer {frame.consumer_tag}: its queue is gone or moved, "
            "or an event was unsettled for longer than the broker's consumer timeout"
        )

    def _on_closed(self, closing: "asyncio.Future[object]") -> None:
        if closing.cancelled():
            self._end("channel closed")
        else:
            self._end(str(closing.exception() or "channel closed"))

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


async def _never(message: DeliveredMessage) -> None:
    """Be the callback that aiormq asks for: deliveries do not come to it."""
