"""`Event` as CloudEvents JSON, both ways, and everything that is not one."""

import json
from dataclasses import FrozenInstanceError, dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from common.errors import InvalidEvent
from common.event import Event, Malformed, from_json_object, parse_json, parse_time
from common.event_writing import format_time, to_json

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
ORDER = Event("order.created", {"order": 7}, id="1", source="/shop", time=NOON)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EARLY = NOON.replace(year=2, tzinfo=None)
WIRE = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.created"}


def read(body: bytes) -> Event | Malformed:
    return from_json_object(parse_json(body))


def test_an_event_is_written_as_structured_json() -> None:
    assert json.loads(to_json(ORDER)) == {
        **WIRE,
        "time": "2026-11-24T12:00:00.123456Z",
        "datacontenttype": "application/json",
        "data": {"order": 7},
    }


def test_an_event_comes_back_as_it_was_written() -> None:
    event = Event(
        "order.created",
        {"ü": [1, None, True, 1.5]},
        id="1",
        source="/shop",
        subject="order/7",
        time=NOON,
        dataschema="https://example.com/order",
        extensions={"partitionkey": "c-7731", "sampledrate": 5, "deprecated": True},
    )

    back = read(to_json(event))

    assert isinstance(back, Event)
    assert back == replace(event, datacontenttype="application/json")
    assert back.key == "c-7731"


def test_bytes_travel_as_base64() -> None:
    back = read(to_json(Event("scan.done", b"\x00\xff", id="1", source="s")))

    assert isinstance(back, Event)
    assert back.data == b"\x00\xff"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_data_survives_the_way(data: object) -> None:
    back = read(to_json(Event("t", data, id="1", source="s")))

    assert isinstance(back, Event)
    assert back.data == data


class Order(BaseModel):
    order: int
    at: datetime


@dataclass
class Line:
    sku: str
    total: float


def test_models_and_dataclasses_are_data_too() -> None:
    data = {"order": Order(order=7, at=NOON), "line": Line("a", 1.5)}

    assert json.loads(to_json(Event("t", data, id="1", source="s")))["data"] == {
        "order": {"order": 7, "at": "2026-11-24T12:00:00.123456Z"},
        "line": {"sku": "a", "total": 1.5},
    }


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (Event("", id="1", source="s"), "type"),
        (Event("t", id="", source="s"), "id"),
        (Event("t", id="1", source=""), "source"),
        (Event("t\n", id="1", source="s"), "control"),
        (Event("t" * 256, id="1", source="s"), "255"),
        (Event("t", id="1", source="s", subject="a\x00"), "subject"),
        (Event("t", id="1", source="s", time=NOON.replace(tzinfo=None)), "time zone"),
        (Event("t", id="1", source="s", extensions={"Upper": 1}), "lower-case"),
        (Event("t", id="1", source="s", extensions={"data": 1}), "extension name"),
        (Event("t", id="1", source="s", extensions={"big": 2**31}), "32 bits"),
        (Event("t", id="1", source="s", extensions={"f": 1.5}), "extension f"),  # type: ignore[dict-item] # wrong on purpose
        (Event("t", object(), id="1", source="s"), "JSON serializable: object"),
        (Event("t", {"x": float("nan")}, id="1", source="s"), "NaN"),
        (Event("t", [Line("a", float("inf"))], id="1", source="s"), "NaN or infinity"),
        (Event("t", 2**64, id="1", source="s"), "64-bit"),
        (Event("t", "\ud800", id="1", source="s"), "JSON"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_attribute(event: Event, word: str) -> None:
    with pytest.raises(InvalidEvent, match=word):
        to_json(event)


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ([], "array"),
        ("text", "string"),
        (None, "null"),
        ({**WIRE, "specversion": "0.3"}, "specversion"),
        ({k: v for k, v in WIRE.items() if k != "specversion"}, "specversion"),
        ({**WIRE, "id": ""}, "id"),
        ({**WIRE, "id": 7}, "id"),
        ({**WIRE, "source": None}, "source"),
        ({**WIRE, "type": "a\nb"}, "control"),
        ({**WIRE, "time": "yesterday"}, "time"),
        ({**WIRE, "time": "2026-11-24T12:00:00"}, "time"),
        ({**WIRE, "subject": 1}, "subject"),
        ({**WIRE, "data": 1, "data_base64": "AA=="}, "both"),
        ({**WIRE, "data_base64": "!"}, "base64"),
        ({**WIRE, "data_base64": 5}, "base64"),
        ({**WIRE, "nested": {"a": 1}}, "extension"),
    ],
)
def test_what_is_no_event_is_a_value_that_says_why(members: object, word: str) -> None:
    found = from_json_object(members)

    assert isinstance(found, Malformed)
    assert word in found.problem


@given(
    st.recursive(
        JSON,
        lambda inner: st.fixed_dictionaries(
            {
                "specversion": st.just("1.0"),
                "id": inner,
                "source": inner,
                "type": inner,
                "time": inner,
                "data_base64": inner,
            }
        ),
    )
)
def test_no_json_whatsoever_makes_the_reader_raise(members: object) -> None:
    assert isinstance(from_json_object(members), Event | Malformed)


def test_null_attributes_count_as_absent() -> None:
    assert isinstance(from_json_object({**WIRE, "subject": None, "ext": None}), Event)


@pytest.mark.parametrize(
    "number",
    [
        10**18,
        2**63 - 1,
        2**63,
        2**64 - 1,
        2**64,
        -(2**63),
        -(2**63) - 1,
        10**19,
        -(10**19) + 1,
        123456789012345678901234567890,
    ],
)
def test_large_integers_keep_every_digit(number: int) -> None:
    assert parse_json(b'{"n":%d}' % number) == {"n": number}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN", b"[1e999]", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"9" * 5000 + b"x"],
)
def test_what_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any text: it comes from the parser
        parse_json(body)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-24T12:00:00Z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24t12:00:00z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        (
            "2026-11-24T12:00:00.5+02:00",
            datetime(2026, 11, 24, 12, 0, 0, 500000, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("2026-11-24", None),
        ("24.11.2026", None),
        (1795521600, None),
    ],
)
def test_reads_rfc_3339(text: object, time: datetime | None) -> None:
    assert parse_time(text) == time


@given(st.datetimes(EARLY, EARLY.replace(year=9998), timezones=OFFSETS))
def test_writes_rfc_3339_in_utc(time: datetime) -> None:
    text = format_time(time)

    assert text == time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    assert parse_time(text) == time


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zs", "Co", "Cn"])))
def test_a_type_is_sent_unless_it_is_empty_too_long_or_holds_control_characters(text: str) -> None:
    try:
        sent = bool(to_json(Event(text, id="1", source="s")))
    except InvalidEvent:
        sent = False

    controls = {"Cc", "Cs"}
    fit = 0 < len(text.encode(errors="replace")) <= 255
    assert sent == (fit and not any(category(char) in controls for char in text))


def test_an_event_is_frozen_and_its_repr_names_the_attributes() -> None:
    with pytest.raises(FrozenInstanceError):
        ORDER.type = "other"  # type: ignore[misc] # wrong on purpose
    assert repr(Event("t")).startswith("Event(type='t', data=None, id=''")
    assert Event("t").extensions == {}


def test_stamping_fills_only_what_is_empty() -> None:
    mine = Event("t", id="mine", source="me").stamped(id="x", source="y", time=NOON)

    assert (mine.id, mine.source, mine.time) == ("mine", "me", NOON)
