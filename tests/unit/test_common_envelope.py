"""An event as an AMQP message: the three forms that are read, and the one that is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.envelope import republished, to_event, to_message
from common.errors import InvalidEvent
from common.event import Event, Malformed
from common.message import HeaderValue, Message

ORDER = Event("order.created", {"order": 7}, id="1", source="/shop")


def read(message: Message) -> Event | Malformed:
    return to_event(message, routing_key="order.created", exchange="events", fallback_id="fresh")


def test_a_message_says_in_its_properties_what_tools_look_for() -> None:
    message = to_message(ORDER, app_id="shop", priority=9)

    assert (message.content_type, message.message_id, message.type, message.app_id) == (
        "application/cloudevents+json",
        "1",
        "order.created",
        "shop",
    )
    assert message.priority == 9


def test_what_is_written_is_read_back() -> None:
    found = read(to_message(ORDER))

    assert isinstance(found, Event)
    assert (found.type, found.id, found.source, found.data) == (
        "order.created",
        "1",
        "/shop",
        {"order": 7},
    )


def test_the_trace_travels_in_a_header() -> None:
    event = Event("t", id="1", source="s", extensions={"traceparent": "00-a-b-01"})

    assert to_message(event).headers == {"traceparent": "00-a-b-01"}


def test_an_event_over_the_limit_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidEvent, match="TIDINGS_MAX_EVENT_BYTES"):
        to_message(Event("t", "x" * 200, id="1", source="s"), limit=200)


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_", "ce-", "CE-"])
def test_binary_mode_is_read_with_every_prefix_in_use(prefix: str) -> None:
    headers: dict[str, HeaderValue] = {
        f"{prefix}specversion": "1.0",
        f"{prefix}id": "9",
        f"{prefix}source": "/knative",
        f"{prefix}type": "order.paid",
        f"{prefix}time": "2026-11-24T12:00:00Z",
        f"{prefix}partitionkey": "k",
        "other": 1,
    }
    found = read(Message(b'{"order": 7}', content_type="application/json", headers=headers))

    assert isinstance(found, Event)
    assert (found.id, found.type, found.data, found.key) == ("9", "order.paid", {"order": 7}, "k")


def test_binary_data_that_is_not_json_stays_bytes() -> None:
    headers: dict[str, HeaderValue] = {
        "ce-specversion": "1.0",
        "ce-id": "9",
        "ce-source": "s",
        "ce-type": "t",
    }
    found = read(Message(b"\x89PNG", content_type="image/png", headers=headers))

    assert isinstance(found, Event)
    assert (found.data, found.datacontenttype) == (b"\x89PNG", "image/png")


def test_plain_json_takes_its_attributes_from_the_properties() -> None:
    found = read(Message(b'{"order": 7}', message_id="m", type="order.x", app_id="legacy"))

    assert isinstance(found, Event)
    assert (found.id, found.type, found.source, found.data) == (
        "m",
        "order.x",
        "legacy",
        {"order": 7},
    )


def test_plain_json_without_properties_takes_the_routing_key_and_a_fresh_id() -> None:
    found = read(Message(b"[1]"))

    assert isinstance(found, Event)
    assert (found.id, found.type, found.source) == ("fresh", "order.created", "/amqp/events")


def test_a_cloudevent_whose_label_was_lost_is_recognised() -> None:
    for content_type in (None, "application/json", "text/plain"):
        message = Message(to_message(ORDER).body, content_type=content_type)
        found = read(message)
        assert isinstance(found, Event)
        assert found.id == "1"


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (Message(b"{nope"), "not JSON"),
        (Message(b""), "not JSON"),
        (Message(b"\xff\xfe\x00"), "not JSON"),
        (Message(b"[" * 100_000), "not JSON"),
        (Message(b"NaN"), "not JSON"),
        (Message(b"[]", content_type="application/cloudevents-batch+json"), "batch"),
        (Message(b"[]", content_type="application/cloudevents+json"), "array"),
        (Message(b"{}", content_type="Application/CloudEvents+JSON; charset=utf-8"), "specversion"),
        (Message(b"{}", headers={"ce-id": "1"}), "specversion"),
        (Message(b"{", content_type="application/json", headers={"ce-specversion": "1.0"}), "not"),
        (Message(b'{"specversion": "9"}'), "specversion"),
    ],
)
def test_garbage_is_a_value(message: Message, word: str) -> None:
    found = read(message)

    assert isinstance(found, Malformed)
    assert word in found.problem


@given(
    body=st.binary(),
    content_type=st.none() | st.text(),
    headers=st.dictionaries(
        st.sampled_from(["ce-id", "ce-type", "ce-specversion", "cloudEvents:source", "x"]),
        st.none() | st.text() | st.binary() | st.integers() | st.lists(st.integers()),
    ),
)
def test_no_message_whatsoever_makes_the_reader_raise(
    body: bytes, content_type: str | None, headers: dict[str, HeaderValue]
) -> None:
    message = Message(body, content_type=content_type, headers=headers)

    assert isinstance(read(message), Event | Malformed)


def test_a_copy_keeps_bytes_and_properties_and_drops_what_would_steer_the_broker() -> None:
    original = Message(
        b"raw \xff",
        content_type="text/x",
        correlation_id="c",
        headers={
            "x-death": [{"count": 3}],
            "x-delivery-count": 99,
            "x-tenant": "kept",
            "CC": ["other-queue"],
            "BCC": ["another"],
            "tidings-attempt": 42,
            "traceparent": "00-a",
            "customer": {"nested": 1},
        },
    )

    copy = republished(original, {"tidings-hop": 1}, message_id="id-1")

    assert copy.body == original.body
    assert (copy.content_type, copy.correlation_id, copy.message_id) == ("text/x", "c", "id-1")
    assert copy.headers == {
        "x-tenant": "kept",
        "traceparent": "00-a",
        "customer": {"nested": 1},
        "tidings-hop": 1,
    }


def test_an_id_too_long_for_the_property_stays_in_the_body_alone() -> None:
    long = "é" * 200

    assert to_message(Event("t", id=long, source="s")).message_id is None
    assert republished(Message(b""), {}, message_id=long).message_id is None


def test_foreign_headers_that_would_not_fit_one_frame_beside_ours_are_left_out_largest_first() -> (
    None
):
    original = Message(b"", headers={"huge": "x" * 120_000, "small": "y"})

    assert republished(original, {"tidings-hop": 1}, message_id="1").headers == {
        "small": "y",
        "tidings-hop": 1,
    }
