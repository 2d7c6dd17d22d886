"""What an inbox is asked, and what it answers: keys, claims, and how one follows. PURE.

The key of an event is (source, id) within its group: the identity that CloudEvents gives, so that
renaming a handler runs nothing again.
"""

from enum import Enum, auto
from hashlib import blake2b, sha256
from typing import Generic, NamedTuple, TypeVar

Key = tuple[str, str]
LONGEST_KEY = 512
CONTENT_BYTES = 16

C = TypeVar("C", int, bytes)
"""A digest of the bytes; copies of an event are equal to the byte."""


def key_of(source: str, identity: str) -> Key:
    """Name an event; long names, which a sender may choose without end, by their digest.

    The same for what no database takes.
    """
    name = source + identity
    if len(name) <= LONGEST_KEY and (name.isascii() or _is_unicode(name)):
        return source, identity
    raw = f"{source}\0{identity}".encode(errors="surrogatepass")
    return "sha256", sha256(raw).hexdigest()


def _is_unicode(name: str) -> bool:
    """Tell names that can be written from those that were made of other bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def content_of(body: bytes) -> bytes:
    """Return the digest that is the same in every process."""
    return blake2b(body, digest_size=CONTENT_BYTES).digest()


class Claim(Enum):
    """The answer to a claim."""

    TAKEN = auto()
    """It is yours: end with `finish` or `forget`."""
    SEEN = auto()
    """It has been done, or this copy of it has moved on."""
    CONFLICT = auto()
    """Another event was seen under the same source and id, with other content."""


class Finished(NamedTuple, Generic[C]):
    """The last that was heard of an event."""

    hop: int
    """Which copy of it that was: the first is 0, each retry is the next."""
    content: C
    done: bool
    """Handled; else a later copy of it is safe with the broker."""


def judge(found: Finished[C] | None, hop: int, content: C) -> Claim:
    """Decide about a delivery by what was heard of its event before."""
    if found is None:
        return Claim.TAKEN
    if content != found.content:
        return Claim.CONFLICT
    return Claim.SEEN if found.done or hop <= found.hop else Claim.TAKEN
