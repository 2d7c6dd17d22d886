"""Where events keep their places: what is to be tried again stays in hand, and is not copied.

The attempts of what is held are remembered here, not in a message: a process that dies takes them
along, and whoever takes the event up then counts from what its message says.
"""

from collections import OrderedDict
from hashlib import sha256

from common.deadletter import Reason
from common.history import History
from common.message import Delivery
from consumer.failure import Cause, Failure
from consumer.inbox import Key
from consumer.outcome import Dead, Outcome, Release, RetryIn
from consumer.verdict import Verdict

LONGEST_HOLD = 60.0
"""Seconds between two attempts: the broker gives no event away for longer than its consumer
timeout, and those behind wait as well."""
MOST_REMEMBERED = 10_000
BUGS_AT_MOST = 20
"""As often as the broker's own delivery limit would bear."""


def identity_of(delivery: Delivery) -> str:
    """Name an event without reading it: what is in it may be what kills."""
    message = delivery.message
    return sha256((message.message_id or "").encode(errors="replace") + message.body).hexdigest()


class InPlace:
    """What `Process` does otherwise where nothing may overtake; `skips`: retries are copied."""

    def __init__(self, *, skips: bool) -> None:
        self.skips = skips
        self._histories: OrderedDict[Key, History] = OrderedDict()
        self._bugs: OrderedDict[str, int] = OrderedDict()

    def keeps(self, outcome: Outcome) -> bool:
        """Whether the event stays in hand with this outcome, unsettled."""
        return isinstance(outcome, Release) or (isinstance(outcome, RetryIn) and not self.skips)

    def hold(self, key: Key | None, verdict: Verdict) -> float | None:
        """Remember what it has been through; return the seconds until it is to run again."""
        if key is not None:
            self._histories[key] = verdict.history
            if len(self._histories) > MOST_REMEMBERED:
                self._histories.popitem(last=False)
        return verdict.outcome.delay if isinstance(verdict.outcome, RetryIn) else None

    def remembered(self, key: Key, history: History) -> History:
        """Return what is remembered of it, if it is the same copy, and forget that."""
        found = self._histories.pop(key, None)
        return history if found is None or found.hop != history.hop else found

    def after_bug(self, delivery: Delivery, history: History, error: Exception) -> Verdict | None:
        """Count a bug of ours that it met; a verdict when it has met too many."""
        key = identity_of(delivery)
        times = self._bugs[key] = self._bugs.pop(key, 0) + 1
        if len(self._bugs) > MOST_REMEMBERED:
            self._bugs.popitem(last=False)
        if times < BUGS_AT_MOST:
            return None
        del self._bugs[key]
        message = f"{times} times an error of Tidings itself: {error}"
        failure = Failure(Cause.RAISED, error=type(error).__qualname__, message=message)
        return Verdict(Dead(Reason.DELIVERY_LIMIT), history, None, failure)
