"""`Letter`: a message that was set aside, as a person wants it in a list; filters and counts. PURE.

It holds neither body nor traceback: forty thousand of them must fit in memory.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from sys import intern

from common.deadletter import DeadLetter
from common.envelope import to_event
from common.event import Malformed
from common.history import History
from common.message import Delivery
from ops.letters.text import moment


@dataclass(frozen=True, slots=True)
class Letter:
    """Times are milliseconds since the epoch; what is not known is empty or 0."""

    id: str
    type: str
    source: str
    reason: str
    error: str = ""
    message: str = ""
    attempts: int = 0
    first_failed_ms: int = 0
    last_failed_ms: int = 0
    handler: str = ""
    group: str = ""
    exchange: str = ""
    routing_key: str = ""
    replays: int = 0
    hop: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """What names an event for ever: source and id."""
        return self.source, self.id

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the object that `--json` prints; its keys are a promise to scripts."""
        return {
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "reason": self.reason,
            "error": self.error,
            "message": self.message,
            "attempts": self.attempts,
            "first_failed": moment(self.first_failed_ms),
            "last_failed": moment(self.last_failed_ms),
            "handler": self.handler,
            "group": self.group,
            "exchange": self.exchange,
            "routing_key": self.routing_key,
            "replays": self.replays,
        }


def dead_letter(delivery: Delivery, group: str) -> Letter:
    """Read a delivery from a group's queue of dead letters."""
    record = DeadLetter.of(delivery)
    # Few kinds, many letters: texts that repeat are kept once.
    return Letter(
        id=record.id or delivery.message.message_id or "",
        type=intern(record.type or delivery.message.type or ""),
        source=intern(record.source),
        reason=intern(record.reason),
        error=intern(record.error),
        message=intern(record.message),
        attempts=record.attempts,
        first_failed_ms=record.first_failed_ms,
        last_failed_ms=record.last_failed_ms,
        handler=intern(record.handler),
        group=intern(record.group or group),
        exchange=intern(record.history.exchange),
        routing_key=intern(record.history.routing_key),
        replays=record.history.replays,
        hop=record.history.hop,
    )


def unrouted_letter(delivery: Delivery) -> Letter:
    """Read a delivery from the queue of events that nobody was bound for.

    Exchange and routing key are those on which it found no queue, so the way to send it again.
    """
    history = History.of(delivery)
    message_id = delivery.message.message_id or ""
    event = to_event(
        delivery.message,
        routing_key=delivery.routing_key,
        exchange=delivery.exchange,
        fallback_id=message_id or "(none)",
    )
    if isinstance(event, Malformed):
        named, problem = (message_id, delivery.message.type or "", ""), event.problem
    else:
        named, problem = (event.id, event.type, event.source), ""
    id_, type_, source = named
    return Letter(
        id=id_,
        type=intern(type_),
        source=intern(source),
        reason="unrouted",
        message=problem,
        attempts=history.attempts,
        first_failed_ms=history.first_failed_ms,
        exchange=intern(delivery.exchange),
        routing_key=intern(delivery.routing_key),
        replays=history.replays,
        hop=history.hop,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters a command is about; what is empty matches all."""

    ids: frozenset[str] = frozenset()
    type: str = ""
    """An event type; `*` and `?` stand for any text and any character."""
    reason: str = ""

    @property
    def everything(self) -> bool:
        """Whether no filter is set."""
        return not (self.ids or self.type or self.reason)

    def picks(self, letter: Letter) -> bool:
        """Whether the letter is one of those."""
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.type or fnmatchcase(letter.type, self.type))
            and (not self.reason or letter.reason == self.reason)
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """Letters that are probably there for one cause."""

    reason: str
    type: str
    error: str
    count: int
    last_failed_ms: int
    example: Letter
    """The one that failed last."""


@dataclass(slots=True)
class Kinds:
    """Counts letters by reason, type and error, one at a time."""

    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _latest: dict[tuple[str, str, str], Letter] = field(default_factory=dict)

    @classmethod
    def of(cls, letters: Iterable[Letter]) -> "Kinds":
        """Count them all."""
        kinds = cls()
        for letter in letters:
            kinds.add(letter)
        return kinds

    def add(self, letter: Letter) -> None:
        """Count one."""
        key = (letter.reason, letter.type, letter.error)
        self._counts[key] += 1
        latest = self._latest.get(key)
        if latest is None or letter.last_failed_ms >= latest.last_failed_ms:
            self._latest[key] = letter

    @property
    def total(self) -> int:
        """How many letters were counted."""
        return self._counts.total()

    def most(self) -> list[Kind]:
        """Return the kinds, the most frequent first."""
        return [
            Kind(*key, count, self._latest[key].last_failed_ms, self._latest[key])
            for key, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        ]
