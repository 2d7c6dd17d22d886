"""Which settles to send: one `multiple` ack for the finished prefix, singles above it. PURE.

A delivery that takes long holds back only the `multiple`, never its neighbours' acks.
"""

from collections import OrderedDict
from typing import NamedTuple


class Settles(NamedTuple):
    """Settles to send, in the order of the fields: a `multiple` ack passes over what is settled."""

    nacked: tuple[int, ...] = ()
    """Given back, uncounted."""
    rejected: tuple[int, ...] = ()
    """Given back, counted."""
    prefix: int = 0
    """Everything up to this tag is acked; 0 for nothing."""
    acked: tuple[int, ...] = ()
    """Acked one by one."""


class AckLedger:
    """The unsettled deliveries of one channel, in the order of their tags."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, None] = OrderedDict()
        self._acked: list[int] = []
        self._nacked: list[int] = []
        self._rejected: list[int] = []

    def __len__(self) -> int:
        """Deliveries that nobody has settled yet."""
        return len(self._open)

    def delivered(self, tag: int) -> None:
        """A delivery arrived; tags only grow."""
        self._open[tag] = None

    def ack(self, tag: int) -> bool:
        """Note an ack; False when the tag is unknown or already settled."""
        if tag not in self._open:
            return False
        del self._open[tag]
        self._acked.append(tag)
        return True

    def nack(self, tag: int) -> bool:
        """Note that it is given back, uncounted; False as for `ack`."""
        return self._give_back(tag, self._nacked)

    def reject(self, tag: int) -> bool:
        """Note that it is given back, counted; False as for `ack`."""
        return self._give_back(tag, self._rejected)

    def take(self) -> Settles:
        """Return, once, what was settled since the last call."""
        acked, prefix = self._acked, 0
        if len(acked) > 1:
            lowest = next(iter(self._open), None)
            below = acked if lowest is None else [tag for tag in acked if tag < lowest]
            if len(below) > 1:
                prefix = max(below)
                acked = [tag for tag in acked if tag > prefix]
        taken = Settles(tuple(self._nacked), tuple(self._rejected), prefix, tuple(acked))
        self._acked, self._nacked, self._rejected = [], [], []
        return taken

    def _give_back(self, tag: int, into: list[int]) -> bool:
        if tag not in self._open:
            return False
        del self._open[tag]
        into.append(tag)
        return True
