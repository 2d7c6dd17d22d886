"""Which settle frames to send: one `multiple` ack for the finished prefix, singles above it. PURE.

A delivery that takes long holds back only the `multiple`, never its neighbours' acks.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettleFrame:
    """One frame to send: an ack, or one that hands back: `nack`, or `reject` where it counts."""

    tag: int
    acked: bool
    multiple: bool = False
    counted: bool = False


class AckLedger:
    """The unsettled deliveries of one channel, in the order of their tags."""

    def __init__(self) -> None:
        self._outstanding: OrderedDict[int, bool] = OrderedDict()
        """tag -> whether its ack waits in `_acked`."""
        self._acked: list[int] = []
        self._back: dict[int, bool] = {}
        """tag -> whether it counts as a failed delivery."""

    def __len__(self) -> int:
        """Deliveries not yet settled by a frame that `take` gave out."""
        return len(self._outstanding) + len(self._back)

    @property
    def pending(self) -> bool:
        """Whether `take` would return anything."""
        return bool(self._acked or self._back)

    def delivered(self, tag: int) -> None:
        """A delivery arrived; tags only grow."""
        self._outstanding[tag] = False

    def ack(self, tag: int) -> bool:
        """Note an ack; False when the tag is unknown or already settled."""
        if self._outstanding.get(tag) is not False:
            return False
        self._outstanding[tag] = True
        self._acked.append(tag)
        return True

    def give_back(self, tag: int, *, counted: bool) -> bool:
        """Note a nack or reject; False when the tag is unknown or already settled."""
        if self._outstanding.get(tag) is not False:
            return False
        del self._outstanding[tag]
        self._back[tag] = counted
        return True

    def take(self) -> list[SettleFrame]:
        """Return the frames to send now. Acks last: a `multiple` one passes over the others."""
        frames = [SettleFrame(tag, acked=False, counted=it) for tag, it in self._back.items()]
        prefix = 0
        while self._outstanding:
            tag, acked = next(iter(self._outstanding.items()))
            if not acked:
                break
            del self._outstanding[tag]
            prefix = tag
        above = [tag for tag in self._acked if tag > prefix]
        if prefix:
            below = len(self._acked) - len(above)
            frames.append(SettleFrame(prefix, acked=True, multiple=below > 1))
        for tag in above:
            del self._outstanding[tag]
            frames.append(SettleFrame(tag, acked=True))
        self._acked.clear()
        self._back.clear()
        return frames
