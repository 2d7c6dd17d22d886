"""The events of an experiment: copies of one that the contestant's own publisher has sent. PURE.

Only what an experiment is about differs: the id, the type, or the body.
"""

from typing import Final

from benchmarks.amqp import Template
from benchmarks.peers.measuring import MARKER
from benchmarks.peers.safety_events import BAD, NEIGHBOURS, OTHER, TYPE

NOT_JSON: Final = f'{{"id": "{BAD}", this is no JSON'.encode()
"""It names the event all the same, so that it is found again."""


def events(sent: Template, what: str, *, type_is_key: bool) -> list[Template]:
    """Return the neighbours, with the bad event in their midst."""
    half = len(NEIGHBOURS) // 2
    innocent = [named(sent, name) for name in NEIGHBOURS]
    return [*innocent[:half], bad(sent, what, type_is_key=type_is_key), *innocent[half:]]


def bad(sent: Template, what: str, *, type_is_key: bool) -> Template:
    """Return the bad event. Where a type is more than a routing key, it reaches the queue."""
    one = named(sent, BAD)
    if what == "json":
        return with_body(one, NOT_JSON)
    if what == "unknown":
        key = one.routing_key.replace(TYPE, OTHER) if type_is_key else one.routing_key
        other = replaced(one, TYPE, OTHER)
        return Template(other.exchange, key, other.header, other.body)
    return one


def named(sent: Template, name: str) -> Template:
    """Return a copy with an id of its own."""
    return replaced(sent, MARKER, name)


def replaced(sent: Template, old: str, new: str) -> Template:
    """Replace a text by one of the same length: lengths stand before texts in a header."""
    if len(old) != len(new):
        raise ValueError(f"{old} and {new} differ in length")
    header, body = (part.replace(old.encode(), new.encode()) for part in (sent.header, sent.body))
    return Template(sent.exchange, sent.routing_key, header, body)


def with_body(sent: Template, body: bytes) -> Template:
    """Replace the body; its size stands in the header, after class and weight."""
    header = sent.header[:4] + len(body).to_bytes(8, "big") + sent.header[12:]
    return Template(sent.exchange, sent.routing_key, header, body)
