"""Slots: events of one key have one slot, by which the broker leads them to one partition. PURE.

The slot is the CRC-32 of the key, modulo `SLOTS`, as decimal text in a header: any program in any
language can set it. That there are more slots than partitions makes a partition a set of slots, so
that no broker ever has to hash, and a restart of one moves nothing.
"""

from zlib import crc32

SLOTS = 64
SLOT = "tidings-slot"
"""The header, a decimal number as text: brokers compare headers of one kind only."""
PARTITIONS = (1, 2, 4, 8, 16, 32, 64)
"""How many partitions there may be: what divides the slots evenly."""

_TEXTS = tuple(str(number) for number in range(SLOTS))


def slot_of(key: str) -> str:
    """Return the slot of a key, as it stands in the header."""
    return _TEXTS[crc32(key.encode("utf-8", "surrogatepass")) % SLOTS]


def slots_of(partition: int, partitions: int) -> tuple[str, ...]:
    """Return the slots of one of so many partitions."""
    return _TEXTS[partition::partitions]
