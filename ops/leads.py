"""Bindings as people read them: one line for all the slots that lead to one partition."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from common.slot import SLOT
from common.topology import Binding


@dataclass(frozen=True, slots=True)
class Lead:
    """What leads from an exchange to one place: a routing key, or the slots of a partition."""

    exchange: str
    to: str
    keys: str
    to_exchange: bool

    @property
    def said(self) -> str:
        """The lead as a difference names it."""
        kind = "exchange" if self.to_exchange else "queue"
        return f"binding of {kind} '{self.to}' to '{self.exchange}' by '{self.keys}'"


def leads_of(bindings: Iterable[Binding]) -> Iterator[Lead]:
    """Yield a lead for each binding, but one for all slots of a partition."""
    slots: dict[tuple[str, str], list[str]] = {}
    for one in bindings:
        slot = dict(one.arguments).get(SLOT)
        if slot is None:
            keys = " ".join(filter(None, (one.key, *(f"{k}={v}" for k, v in one.arguments))))
            yield Lead(one.exchange, one.queue, keys, one.to_exchange)
        else:
            slots.setdefault((one.exchange, one.queue), []).append(str(slot))
    for (exchange, to), found in slots.items():
        yield Lead(exchange, to, f"{SLOT} {' '.join(found)}", to_exchange=False)
