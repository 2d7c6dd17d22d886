"""`Event`: a CloudEvents 1.0 value, and its JSON both ways.

PURE: no clock, no dice, no I/O. Source: CloudEvents 1.0.2, core specification and JSON format.
"""

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import orjson
from pydantic_core import from_json

from common.errors import InvalidEvent

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json"
MAX_TYPE_BYTES = 255
"""The event type is the AMQP routing key, a short string of at most 255 bytes."""

ExtensionValue = str | int | bool

_ATTRIBUTES = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}
)
_MEMBERS = _ATTRIBUTES | {"data", "data_base64"}
_NAME = re.compile(r"[a-z0-9]{1,20}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONG_NUMBER = re.compile(rb"\d{19}")


@dataclass(frozen=True, slots=True)
class Malformed:
    """Input that is not an event: why, in one line. A value, so that nobody forgets the case."""

    problem: str


@dataclass(frozen=True, slots=True)
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

    @property
    def key(self) -> str | None:
        """The ordering key: the extension `partitionkey`."""
        value = self.extensions.get("partitionkey")
        return None if value is None else str(value)

    def stamped(self, *, id: str, source: str, time: datetime) -> "Event":  # noqa: A002 - the attribute's own name
        """Return the event with `id`, `source` and `time` filled in where they are empty."""
        if self.id and self.source and self.time:
            return self
        return replace(self, id=self.id or id, source=self.source or source, time=self.time or time)


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly: no NaN, valid UTF-8, integers of any size kept exact.

    orjson reads integers over 64 bit as floats, silently; a body with that many digits in a row
    takes the slower exact parser. Raises ValueError for everything that is not JSON.
    """
    if _LONG_NUMBER.search(body):
        return from_json(body, allow_inf_nan=False)
    return orjson.loads(body)


def to_json(event: Event) -> bytes:
    """Write a complete event in the structured JSON format.

    Raises InvalidEvent naming the attribute when the event is not valid or its data not JSON.
    """
    if problem := _problem(event):
        raise InvalidEvent(problem)
    members: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
    }
    if event.subject is not None:
        members["subject"] = event.subject
    if event.time is not None:
        members["time"] = format_time(event.time)
    if event.dataschema is not None:
        members["dataschema"] = event.dataschema
    members.update(event.extensions)
    if isinstance(event.data, bytes):
        members["datacontenttype"] = event.datacontenttype or "application/octet-stream"
        members["data_base64"] = b64encode(event.data).decode()
    else:
        members["datacontenttype"] = event.datacontenttype or "application/json"
        members["data"] = event.data
    try:
        body = orjson.dumps(members, default=_jsonable)
    except TypeError as error:
        message = f"data of event '{event.type}' cannot be written as JSON: {error}"
        raise InvalidEvent(message) from error
    # orjson writes NaN and infinity as null: a changed value, silently. Looking for them costs a
    # walk over the data, so only a body with a null in it is looked at.
    if b"null" in body and _has_nan(event.data):
        message = f"data of event '{event.type}' holds NaN or infinity, which JSON cannot carry"
        raise InvalidEvent(message)
    return body


def from_json_object(members: Any) -> Event | Malformed:
    """Read a parsed structured-mode body."""
    if not isinstance(members, dict):
        return Malformed(f"body is a JSON {_json_kind(members)}, not a CloudEvent object")
    attributes = {
        name: value
        for name, value in members.items()
        if value is not None and name not in ("data", "data_base64")
    }
    data = members.get("data")
    encoded = members.get("data_base64")
    if encoded is not None:
        if data is not None:
            return Malformed("both data and data_base64 are present")
        try:
            data = b64decode(encoded, validate=True)
        except (ValueError, TypeError):
            return Malformed("data_base64 is not base64")
    return from_attributes(attributes, data)


def from_attributes(attributes: Mapping[str, Any], data: Any) -> Event | Malformed:
    """Make an event of context attributes as they arrived; strict about what the spec requires."""
    if problem := _attributes_problem(attributes):
        return Malformed(problem)
    time = attributes.get("time")
    if time is not None:
        time = parse_time(time)
        if time is None:
            return Malformed("attribute time is not an RFC 3339 timestamp")
    extensions: dict[str, ExtensionValue] = {}
    for name, value in attributes.items():
        if name in _ATTRIBUTES:
            continue
        if not isinstance(value, str | int | bool):
            return Malformed(f"extension {name!r:.40} is not a string, integer or boolean")
        extensions[name] = value
    return Event(
        type=attributes["type"],
        data=data,
        id=attributes["id"],
        source=attributes["source"],
        subject=attributes.get("subject"),
        time=time,
        datacontenttype=attributes.get("datacontenttype"),
        dataschema=attributes.get("dataschema"),
        extensions=extensions,
    )


def parse_time(text: object) -> datetime | None:
    """Read an RFC 3339 timestamp; None when it is none. A timestamp has an offset."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def format_time(time: datetime) -> str:
    """Write an RFC 3339 timestamp in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _attributes_problem(attributes: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the attributes that the specification defines, if anything is."""
    version = attributes.get("specversion")
    if version != SPEC_VERSION:
        return f"specversion is {version!r:.40}, expected '{SPEC_VERSION}'"
    for name in ("id", "source", "type"):
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            return f"attribute {name} is missing or not a non-empty string"
        if _CONTROL.search(value):
            return f"attribute {name} holds control characters"
    if len(attributes["type"].encode()) > MAX_TYPE_BYTES:
        return f"attribute type is longer than {MAX_TYPE_BYTES} bytes"
    for name in ("subject", "datacontenttype", "dataschema"):
        value = attributes.get(name)
        if value is not None and not isinstance(value, str):
            return f"attribute {name} is not a string"
    return None


def _problem(event: Event) -> str | None:
    """Say what makes an event unfit to send, if anything does."""
    for name in ("type", "id", "source"):
        value = getattr(event, name)
        if not (isinstance(value, str) and value):
            return f"event {name} must be a non-empty string, not {value!r:.40}"
        if _CONTROL.search(value):
            return f"event {name} {value!r:.40} holds control characters"
    if len(event.type.encode()) > MAX_TYPE_BYTES:
        return f"event type is longer than {MAX_TYPE_BYTES} bytes (it is the routing key)"
    subject: object = event.subject
    if subject is not None and not (isinstance(subject, str) and not _CONTROL.search(subject)):
        return (
            f"event subject must be a string without control characters, not {event.subject!r:.40}"
        )
    if event.time is not None and event.time.tzinfo is None:
        return "event time has no time zone; use an aware datetime"
    return _extension_problem(event.extensions)


def _extension_problem(extensions: Mapping[str, ExtensionValue]) -> str | None:
    for name, value in extensions.items():
        if name in _MEMBERS or not _NAME.fullmatch(name):
            return f"extension name {name!r:.40} must be 1-20 lower-case letters or digits"
        if not isinstance(cast("object", value), str | int | bool):
            return f"extension {name} must be a string, integer or boolean, not {value!r:.40}"
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            return f"extension {name} does not fit in 32 bits; send it as a string"
    return None


def _jsonable(value: object) -> Any:
    """Turn what orjson does not know into what it knows: pydantic models, sets."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, set | frozenset):
        return list(value)
    message = f"{type(value).__name__} is not JSON"
    raise TypeError(message)


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(_has_nan(member) for member in value.values())
    if is_dataclass(value) and not isinstance(value, type):
        return any(_has_nan(getattr(value, name)) for name in value.__dataclass_fields__)
    if hasattr(value, "model_dump"):
        return _has_nan(value.model_dump())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return any(_has_nan(member) for member in value)
    return False


def _json_kind(value: object) -> str:
    kinds = {list: "array", str: "string", int: "number", float: "number", bool: "boolean"}
    return kinds.get(type(value), "null")
