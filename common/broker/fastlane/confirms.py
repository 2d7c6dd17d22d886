"""`ConfirmWindow`: what was published on a channel and not answered yet. PURE.

A confirm names a publish by its number on the channel; a return does not. RabbitMQ returns a
message before it confirms it, so a return belongs to the oldest unanswered publish that is equal to
it: where two are equal in every part, it does not matter which of them is which.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from common.message import Publishing

T = TypeVar("T")


class Sent(NamedTuple, Generic[T]):
    """A publish under way."""

    publishing: Publishing
    token: T
    """Whatever the caller wants to get back with the answer."""
    deadline: float


class ConfirmWindow(Generic[T]):
    """Publishes of one channel in the order of their numbers, which begin with 1."""

    def __init__(self) -> None:
        self._last = 0
        self._open: OrderedDict[int, Sent[T]] = OrderedDict()
        self._returned: dict[int, str] = {}
        self._late: dict[int, Publishing] = {}
        """Given up, and not answered yet by the broker."""

    def __len__(self) -> int:
        """Publishes that are not answered."""
        return len(self._open)

    def sent(self, publishing: Publishing, token: T, deadline: float) -> int:
        """Note a publish that goes out now; return its number."""
        self._last += 1
        self._open[self._last] = Sent(publishing, token, deadline)
        return self._last

    def answered(self, number: int, *, multiple: bool) -> Iterator[tuple[Sent[T], str | None]]:
        """Yield what an ack or nack settles, each with the reply of its return if there was one.

        A number that is not known yields nothing: its caller was told something else before.
        """
        if not multiple:
            sent = self._open.pop(number, None)
            if sent is not None:
                yield sent, self._returned.pop(number, None)
            elif self._late:
                self._late.pop(number, None)
            return
        if self._late:
            self._late = {late: one for late, one in self._late.items() if late > number}
        while self._open:
            oldest = next(iter(self._open))
            if oldest > number:
                return
            yield self._open.pop(oldest), self._returned.pop(oldest, None)

    def returned(self, like: Publishing, reply: str) -> bool:
        """Note a return: the publish it belongs to is found by its content. False if none is.

        The expiration and mode of what came back are not compared: they do not name an event.
        """
        for number, sent in self._open.items():
            if number not in self._returned and _same(sent.publishing, like):
                self._returned[number] = reply
                return True
        # Those under way come first: a return that is taken for another's is a false confirm.
        for number, publishing in self._late.items():
            if _same(publishing, like):
                del self._late[number]
                return True
        return False

    def overdue(self, now: float) -> Iterator[Sent[T]]:
        """Yield, and forget, what has waited past its deadline; its late answer means nothing."""
        for number in [number for number, sent in self._open.items() if sent.deadline <= now]:
            sent = self._open.pop(number)
            self._returned.pop(number, None)
            self._late[number] = sent.publishing
            yield sent

    @property
    def next_deadline(self) -> float:
        """The earliest deadline; endless when nothing is open."""
        return min((sent.deadline for sent in self._open.values()), default=float("inf"))

    def lost(self) -> Iterator[Sent[T]]:
        """Yield, and forget, everything: the channel is gone."""
        while self._open:
            yield self._open.popitem(last=False)[1]
        self._returned.clear()
        self._late.clear()


def _same(sent: Publishing, back: Publishing) -> bool:
    return (
        sent.routing_key == back.routing_key
        and sent.exchange == back.exchange
        and sent.message.message_id == back.message.message_id
        and sent.message.body == back.message.body
    )
