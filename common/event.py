"""`Event`: a CloudEvents 1.0 value, and how it is read. `event_writing.py` writes it.

PURE: no clock, no dice, no I/O. Source: CloudEvents 1.0.2, core specification and JSON format.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import orjson
from pydantic_core import from_json

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json"
MAX_TYPE_BYTES = 255
"""The event type is the AMQP routing key, a short string of at most 255 bytes."""

ExtensionValue = str | int | bool

ATTRIBUTES = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}
)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MEMBERS = ATTRIBUTES | {"data", "data_base64"}
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
_LONG_NUMBER, _LONG_NEGATIVE = b"0" * 20, b"-" + b"0" * 19
"""As many digits as an integer that 64 bit cannot hold has at least, each of them read as a 0; a
time in nanoseconds has 19. A search by a regular expression takes ten times as long, for each
event."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Input that is not an event: why, in one line. A value, so that nobody forgets the case."""

    problem: str


@dataclass(frozen=True, slots=True, init=False)
class Event:
    """Something that happened.

    `id`, `source` and `time` may be left empty by who makes an event: the producer stamps them. An
    event that a handler receives is complete. `source` and `id` together name an event for ever.
    """

    type: str
    data: Any = None
    id: str = ""
    source: str = ""
    subject: str | None = None
    time: datetime | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, ExtensionValue] = field(default_factory=dict)

    def __init__(  # noqa: PLR0913, PLR0917 - the attributes of an event
        self,
        type: str,  # noqa: A002 - the attribute's own name
        data: Any = None,
        id: str = "",  # noqa: A002 - the attribute's own name
        source: str = "",
        subject: str | None = None,
        time: datetime | None = None,
        datacontenttype: str | None = None,
        dataschema: str | None = None,
        extensions: Mapping[str, ExtensionValue] | None = None,
    ) -> None:
        """Every event is made here, twice on its way: the generated form takes twice as long."""
        _set_type(self, type)
        _set_data(self, data)
        _set_id(self, id)
        _set_source(self, source)
        _set_subject(self, subject)
        _set_time(self, time)
        _set_datacontenttype(self, datacontenttype)
        _set_dataschema(self, dataschema)
        _set_extensions(self, {} if extensions is None else extensions)

    @property
    def key(self) -> str | None:
        """The ordering key: the extension `partitionkey`."""
        value = self.extensions.get("partitionkey")
        return None if value is None else str(value)

    def stamped(self, *, id: str, source: str, time: datetime) -> "Event":  # noqa: A002 - the attribute's own name
        """Return the event with `id`, `source` and `time` filled in where they are empty."""
        if self.id and self.source and self.time:
            return self
        return Event(
            self.type,
            self.data,
            self.id or id,
            self.source or source,
            self.subject,
            self.time or time,
            self.datacontenttype,
            self.dataschema,
            self.extensions,
        )


(
    _set_type,
    _set_data,
    _set_id,
    _set_source,
    _set_subject,
    _set_time,
    _set_datacontenttype,
    _set_dataschema,
    _set_extensions,
) = (vars(Event)[one.name].__set__ for one in fields(Event))
"""How the slots of a frozen object are filled, once."""


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly: no NaN, valid UTF-8, integers of any size kept exact.

    orjson reads integers over 64 bit as floats, silently; a body with that many digits in a row
    takes the slower exact parser. Raises ValueError for everything that is not JSON.
    """
    digits = body.translate(_DIGITS)
    if _LONG_NUMBER in digits or _LONG_NEGATIVE in digits:
        return from_json(body, allow_inf_nan=False)
    return orjson.loads(body)


def from_json_object(members: Any) -> Event | Malformed:
    """Read a parsed structured-mode body."""
    if not isinstance(members, dict):
        return Malformed(f"body is a JSON {_json_kind(members)}, not a CloudEvent object")
    data = members.get("data")
    encoded = members.get("data_base64")
    if encoded is not None:
        if data is not None:
            return Malformed("both data and data_base64 are present")
        try:
            data = b64decode(encoded, validate=True)
        except (ValueError, TypeError):
            return Malformed("data_base64 is not base64")
    return _event(members, data, _MEMBERS)


def from_attributes(attributes: Mapping[str, Any], data: Any) -> Event | Malformed:
    """Make an event of context attributes as they arrived; strict about what the spec requires."""
    return _event(attributes, data, ATTRIBUTES)


def _event(attributes: Mapping[str, Any], data: Any, known: frozenset[str]) -> Event | Malformed:
    """Make an event; what is null counts as absent, what is not `known` is an extension."""
    get: Callable[[str], Any] = attributes.get
    type_, identity, source, time = get("type"), get("id"), get("source"), get("time")
    # Nearly all events pass this; which rule one of the others breaks is found out slowly.
    plain = (
        get("specversion") == SPEC_VERSION
        and type(type_) is type(identity) is type(source) is str
        and type_
        and identity
        and source
        and (names := type_ + identity + source).isascii()
        and names.isprintable()
        and len(type_) <= MAX_TYPE_BYTES
    )
    if not plain and (problem := _problem_of_names(attributes)):
        return Malformed(problem)
    subject, kind, schema = get("subject"), get("datacontenttype"), get("dataschema")
    for text in (subject, kind, schema):
        if text is not None and not isinstance(text, str):
            return Malformed(f"attribute {_name_of(text, attributes)} is not a string")
    if time is not None:
        time = parse_time(time)
        if time is None:
            return Malformed("attribute time is not an RFC 3339 timestamp")
    if known.issuperset(attributes):
        return Event(type_, data, identity, source, subject, time, kind, schema, {})
    extensions: dict[str, ExtensionValue] = {}
    for name, one in attributes.items():
        if name in known or one is None:
            continue
        if not isinstance(one, str | int | bool):
            return Malformed(f"extension {name!r:.40} is not a string, integer or boolean")
        extensions[name] = one
    return Event(type_, data, identity, source, subject, time, kind, schema, extensions)


def parse_time(text: object) -> datetime | None:
    """Read an RFC 3339 timestamp; None when it is none. A timestamp has an offset."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        try:
            time = datetime.fromisoformat(text.upper())  # the letters may be small
        except ValueError:
            return None
    return time if time.tzinfo is not None else None


def _problem_of_names(attributes: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the attributes that an event must have, if anything is."""
    version = attributes.get("specversion")
    if version != SPEC_VERSION:
        return f"specversion is {version!r:.40}, expected '{SPEC_VERSION}'"
    for name in ("id", "source", "type"):
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            return f"attribute {name} is missing or not a non-empty string"
        if CONTROL.search(value):
            return f"attribute {name} holds control characters"
    if len(attributes["type"].encode()) > MAX_TYPE_BYTES:
        return f"attribute type is longer than {MAX_TYPE_BYTES} bytes"
    return None


def _name_of(value: object, attributes: Mapping[str, Any]) -> str:
    return next(name for name, one in attributes.items() if one is value)


def _json_kind(value: object) -> str:
    kinds = {list: "array", str: "string", int: "number", float: "number", bool: "boolean"}
    return kinds.get(type(value), "null")
