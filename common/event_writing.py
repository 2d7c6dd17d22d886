"""Write an `Event` as structured JSON, or say why it cannot be sent.

PURE. Source: CloudEvents 1.0.2, JSON format.
"""

import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from common.errors import InvalidEvent
from common.event import ATTRIBUTES, CONTROL, MAX_TYPE_BYTES, SPEC_VERSION, Event, ExtensionValue

_MEMBERS = ATTRIBUTES | {"data", "data_base64"}
_NAME = re.compile(r"[a-z0-9]{1,20}")
_NULL = re.compile(b"null")


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
    if event.extensions:
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
    if _NULL.search(body) and _has_nan(event.data):
        message = f"data of event '{event.type}' holds NaN or infinity, which JSON cannot carry"
        raise InvalidEvent(message)
    return body


def format_time(time: datetime) -> str:
    """Write an RFC 3339 timestamp in UTC."""
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    return orjson.dumps(time, option=orjson.OPT_UTC_Z)[1:-1].decode()  # isoformat takes thrice that


def _problem(event: Event) -> str | None:
    """Say what makes an event unfit to send, if anything does."""
    if problem := _name_problem(event):
        return problem
    if len(event.type.encode()) > MAX_TYPE_BYTES:
        return f"event type is longer than {MAX_TYPE_BYTES} bytes (it is the routing key)"
    subject: object = event.subject
    if subject is not None and not (isinstance(subject, str) and not CONTROL.search(subject)):
        return (
            f"event subject must be a string without control characters, not {event.subject!r:.40}"
        )
    if event.time is not None and event.time.tzinfo is None:
        return "event time has no time zone; use an aware datetime"
    return _extension_problem(event.extensions) if event.extensions else None


def _name_problem(event: Event) -> str | None:
    for name in ("type", "id", "source"):
        value = getattr(event, name)
        if isinstance(value, str) and value.isprintable() and value:
            continue  # what can be printed holds no control characters
        if not (isinstance(value, str) and value):
            return f"event {name} must be a non-empty string, not {value!r:.40}"
        if CONTROL.search(value):
            return f"event {name} {value!r:.40} holds control characters"
    return None


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
    """Turn what orjson does not know into what it knows: pydantic models.

    Not sets: they have no order, and the same event would be other bytes the next time.
    """
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
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
