"""Consume a queue: deliveries go to a callback, settles are written together, the end is told."""

import asyncio
from collections.abc import Callable

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp.commands import Basic

from common.broker.acks import AckLedger, SettleFrame
from common.broker.declaring import RPC_SECONDS
from common.broker.translate import to_message
from common.message import Delivery

_GONE = (AMQPError, ChannelInvalidStateError, OSError, RuntimeError, TimeoutError)


class Subscription:
    """One consumer on a channel of its own. `ended` tells, with the reason, when it is over."""

    def __init__(
        self, channel: AbstractChannel, *, prefetch: int, on_delivery: Callable[[Delivery], None]
    ) -> None:
        self._channel = channel
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._ledger = AckLedger()
        self._wake = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._tag = ""
        self._writer: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self, queue: str) -> None:
        """Consume. The errors of a refused consume are the caller's to explain."""
        channel = self._channel
        await channel.basic_qos(prefetch_count=self._prefetch, timeout=RPC_SECONDS)
        channel.on_consumer_cancel_callbacks.add(self._on_cancel)
        channel.closing.add_done_callback(self._on_closed)
        self._writer = asyncio.create_task(self._write(), name=f"settles of {queue}")
        reply = await channel.basic_consume(queue, self._receive, timeout=RPC_SECONDS)
        self._tag = reply.consumer_tag or ""

    def alive(self) -> bool:
        """Whether its channel is open."""
        return not self.ended.done()

    def ack(self, tag: int) -> bool:
        """Acknowledge; False when it is too late."""
        return self._note(self._ledger.ack(tag))

    def nack(self, tag: int) -> bool:
        """Hand back to the queue; False when it is too late."""
        return self._note(self._ledger.give_back(tag, counted=False))

    def reject(self, tag: int) -> bool:
        """Hand back to the queue, counted; False when it is too late."""
        return self._note(self._ledger.give_back(tag, counted=True))

    async def cancel(self) -> None:
        """Ask for no more deliveries. What is under way still arrives before this returns."""
        if self.ended.done():
            return
        try:
            await self._channel.basic_cancel(self._tag, timeout=RPC_SECONDS)
        except _GONE as error:
            self._end(str(error))

    async def close(self) -> None:
        """Write every settle, make one round trip so that the broker has them all, and close.

        Without the round trip a broker drops the last acks of a channel that closes at once.
        """
        if not self.ended.done():
            try:
                async with asyncio.timeout(RPC_SECONDS):
                    await self._written.wait()
                    await self._channel.basic_qos(prefetch_count=self._prefetch)
                    await self._channel.close()
            except _GONE as error:
                self._end(str(error))
        self._end("closed")

    def _note(self, taken: bool) -> bool:  # noqa: FBT001 - the ledger's answer, passed on
        if self.ended.done() or not taken:
            return False
        self._written.clear()
        self._wake.set()
        return True

    async def _receive(self, delivered: DeliveredMessage) -> None:
        frame = delivered.delivery
        if not isinstance(frame, Basic.Deliver) or frame.delivery_tag is None:
            return
        self._ledger.delivered(frame.delivery_tag)
        self._on_delivery(
            Delivery(
                message=to_message(delivered),
                exchange=frame.exchange or "",
                routing_key=frame.routing_key or "",
                redelivered=bool(frame.redelivered),
                tag=frame.delivery_tag,
                channel=self,
            )
        )

    async def _write(self) -> None:
        """Write what was settled since the last turn; the drain of the last frame is the brake."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                frames = self._ledger.take()
                for number, frame in enumerate(frames, start=1):
                    await self._send(frame, wait=number == len(frames))
                if not self._ledger.pending:
                    self._written.set()
        except _GONE as error:
            self._end(str(error))

    async def _send(self, frame: SettleFrame, *, wait: bool) -> None:
        if frame.acked:
            await self._channel.basic_ack(frame.tag, multiple=frame.multiple, wait=wait)
        elif frame.counted:
            await self._channel.basic_reject(frame.tag, requeue=True, wait=wait)
        else:
            await self._channel.basic_nack(frame.tag, requeue=True, wait=wait)

    def _on_cancel(self, frame: Basic.Cancel) -> None:
        # Runs inside aiormq's channel reader: an RPC from here would wait for itself.
        self._end(f"the broker cancelled consumer {frame.consumer_tag}: its queue is gone or moved")

    def _on_closed(self, closing: "asyncio.Future[object]") -> None:
        if closing.cancelled():
            self._end("channel closed")
        else:
            self._end(str(closing.exception() or "channel closed"))

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)
        self._written.set()
        if self._writer is not None:
            self._writer.cancel()
