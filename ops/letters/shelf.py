"""`Shelf`: a queue of messages that were set aside, how to read them and how to send them on. PURE.

There are two kinds: the dead letters of a group, and the events that nobody was bound for.
"""

from collections.abc import Callable
from dataclasses import dataclass

from common.deadletter import DeadLetter
from common.envelope import republished
from common.history import History
from common.message import Delivery, Publishing
from common.topology import UNROUTED, dead_name, return_name
from ops.letters.letter import Letter, dead_letter, unrouted_letter


@dataclass(frozen=True, slots=True)
class Shelf:
    """A queue of set-aside messages and what can be done with one, as functions of values."""

    queue: str
    singular: str
    plural: str
    letter_of: Callable[[Delivery], Letter]
    again: Callable[[Delivery, str], Publishing]
    """(delivery, id for a message that has none) -> the message as it is sent again."""
    destination: str
    """Where replayed messages go, in words."""
    group: str | None = None
    """The group without which a replay makes no sense."""

    def counted(self, count: int) -> str:
        """Say how many, as in `1 dead letter of group 'x'`."""
        return f"{count} {self.singular if count == 1 else self.plural}"


def dead_shelf(group: str) -> Shelf:
    """Return the shelf of a group's dead letters. A replay goes to this group's queue only."""

    def again(delivery: Delivery, new_id: str) -> Publishing:
        # DeadLetter.of, not History.of: for what the broker set aside it knows the first exchange.
        history = DeadLetter.of(delivery).history.replayed()
        message = republished(delivery.message, history.headers(), message_id=new_id)
        return Publishing(return_name(group), group, message)

    return Shelf(
        queue=dead_name(group),
        singular=f"dead letter of group '{group}'",
        plural=f"dead letters of group '{group}'",
        letter_of=lambda delivery: dead_letter(delivery, group),
        again=again,
        destination="that group alone",
        group=group,
    )


def unrouted_shelf() -> Shelf:
    """Return the shelf of unrouted events. A replay takes the way on which no queue was found.

    For an event that is exchange `events` and its type. A retry whose group's queue was deleted
    came from `GROUP.return`; sent to `events` it would reach groups that are done with it.
    """

    def again(delivery: Delivery, new_id: str) -> Publishing:
        history = History.of(delivery).copied()
        message = republished(delivery.message, history.headers(), message_id=new_id)
        return Publishing(delivery.exchange, delivery.routing_key, message)

    return Shelf(
        queue=UNROUTED,
        singular="unrouted event",
        plural="unrouted events",
        letter_of=unrouted_letter,
        again=again,
        destination="the groups that are bound for them",
    )
