"""Slots: events of one key have one slot, by which the broker leads them to one partition. PURE.

The slot is the CRC-32 of the key, modulo `SLOTS`, as decimal text in a header: any program in any
language can set it. That there are more slots than partitions makes a partition a set of slots, so
that no broker ever has to hash, and a restart of one moves nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from zlib import crc32

SLOTS = 64
SLOT = "tidings-slot"
"""The header, a decimal number as text: brokers compare headers of one kind only."""
PARTITIONS = (1, 2, 4, 8, 16, 32, 64)
"""How many partitions there may be: what divides the slots evenly."""

_TEXTS = tuple(str(number) for number in range(SLOTS))


_HEADERS: Mapping[str, Mapping[str, str]] = {
    text: MappingProxyType({SLOT: text}) for text in _TEXTS
}
"""Made once: each event with a key has one of these."""


def slot_of(key: str) -> str:
    """Return the slot of a key, as it stands in the header."""
    return _TEXTS[crc32(key.encode("utf-8", "surrogatepass")) % SLOTS]


def slot_headers(key: str) -> Mapping[str, str]:
    """Return the header of a key's slot."""
    return _HEADERS[slot_of(key)]


def only_a_slot(headers: Mapping[str, object]) -> bool:
    """Whether there is no other header than a slot: so it is with most events."""
    if len(headers) != 1:
        return False
    slot = headers.get(SLOT)
    return isinstance(slot, str) and slot in _HEADERS


def slots_of(partition: int, partitions: int) -> tuple[str, ...]:
    """Return the slots of one of so many partitions."""
    return _TEXTS[partition::partitions]
