"""Properties and headers that are no texts or no times: set aside, said and shown, never raised."""

import io
import json

import pytest
import structlog

from common.deadletter import DeadLetter
from common.envelope import republished, to_event
from common.event import Event, Malformed
from common.history import History
from common.logs import configure, get_logger
from common.message import UNREADABLE, HeaderValue, Message
from ops.letters.letter import dead_letter, unrouted_letter
from ops.letters.listing import json_line, print_table
from ops.letters.record import record_as_dict, record_as_text
from support.shelves import delivered, letter

BAD = b"caf\xe9".decode(errors="surrogateescape")
TEXTS = (
    *("content_type", "content_encoding", "message_id", "correlation_id"),
    *("reply_to", "type", "app_id"),
)
PAST_TIME = 253_402_300_800_000
"""In milliseconds, which many senders mean."""
_, SOUND = letter(1)


def read(message: Message) -> Event | Malformed:
    return to_event(message, routing_key="order.created", exchange="events", fallback_id="fresh")


@pytest.mark.parametrize("name", TEXTS)
def test_a_property_that_is_not_utf_8_is_named(name: str) -> None:
    found = read(SOUND._replace(**{name: BAD}))  # type: ignore[arg-type] # texts, all of them

    assert isinstance(found, Malformed)
    assert found.problem == f"property {name} is not UTF-8: 'caf\\udce9'"


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({BAD: 1}, "header name 'caf\\udce9' is not UTF-8"),
        ({"x-ü": BAD}, "header 'x-\\xfc' is not UTF-8: 'caf\\udce9'"),
        ({UNREADABLE: "table is cut off"}, "properties or headers cannot be read: table is cut"),
    ],
)
def test_a_header_that_is_not_utf_8_is_named(headers: dict[str, HeaderValue], problem: str) -> None:
    found = read(SOUND._replace(headers=headers))

    assert isinstance(found, Malformed)
    assert found.problem.startswith(problem)


def test_a_time_past_the_year_9999_is_no_time() -> None:
    found = read(SOUND._replace(timestamp=PAST_TIME))

    assert found == Malformed("property timestamp is past the year 9999: 253402300800000")
    assert isinstance(read(SOUND._replace(timestamp=PAST_TIME - 1)), Event)


def test_it_is_said_before_the_body_is_looked_at() -> None:
    found = read(Message(b"{nope", app_id=BAD))

    assert isinstance(found, Malformed)
    assert "app_id" in found.problem


def test_texts_in_utf_8_and_nested_tables_are_no_flaw() -> None:
    message = SOUND._replace(app_id="Bücher", headers={"größe": "日本", "x-death": [{"q": BAD}]})

    assert isinstance(read(message), Event)


def test_a_routing_key_that_is_not_utf_8_outlives_a_retry() -> None:
    """It stands in a header of ours; the event itself is sound."""
    first = History(exchange="events", routing_key=BAD).failed(1000).copied()

    copy = republished(SOUND, first.headers(), message_id="e1")

    assert isinstance(read(copy), Event)
    assert History.of(delivered(copy)).routing_key == BAD


def spoilt() -> Message:
    """A message with something wrong in every place, as a dead letter."""
    record = DeadLetter(
        reason="malformed",
        id=BAD,
        type=BAD,
        message=f"property type is not UTF-8: {BAD!a}",
        last_failed_ms=1,
        history=History(exchange=BAD, routing_key=BAD),
    )
    original = SOUND._replace(
        **dict.fromkeys(TEXTS, BAD),  # type: ignore[arg-type] # texts, all of them
        timestamp=2**64 - 1,
        headers={BAD: BAD, "x": [BAD]},
    )
    return republished(original, record.headers(), message_id="")


def test_a_dead_letter_keeps_it_as_it_came_and_says_it_in_plain_text() -> None:
    message = spoilt()
    record = DeadLetter.of(delivered(message))

    assert (message.message_id, message.timestamp, message.headers[BAD]) == (BAD, 2**64 - 1, BAD)
    assert (record.id, record.type) == ("caf\\udce9", "caf\\udce9")
    assert record.history.routing_key == BAD


def test_a_dead_letter_of_the_brokers_keeps_it_too() -> None:
    message = SOUND._replace(message_id=BAD, headers={"x-death": [{"routing-keys": [BAD]}]})

    assert DeadLetter.of(delivered(message)).id == BAD


@pytest.mark.parametrize("make", ["ours", "the broker's", "unrouted"])
def test_lists_and_records_show_it_in_ascii(make: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = spoilt() if make == "ours" else Message(b"{}", message_id=BAD, type=BAD, app_id=BAD)
    delivery = delivered(message, exchange=BAD, routing_key=BAD)
    shown = unrouted_letter(delivery) if make == "unrouted" else dead_letter(delivery, "g")

    print_table([shown], more=0)
    texts = [
        capsys.readouterr().out,
        json_line(shown),
        record_as_text(shown, delivery),
        json.dumps(record_as_dict(shown, delivery), default=str),
    ]

    for text in texts:
        assert "udce9" in text.encode().decode()


def test_a_time_that_is_none_is_shown_as_the_number_it_is() -> None:
    shown = dead_letter(delivered(spoilt()), "g")

    assert "18446744073709551615" in record_as_text(shown, delivered(spoilt()))


@pytest.mark.parametrize("format_", ["json", "console"])
def test_logs_say_it_with_escapes(format_: str) -> None:
    before = structlog.get_config()
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    configure(level="info", format_=format_, service="consumer", stream=out)
    try:
        get_logger(event_id=BAD).info("event_retried", names=[BAD], x=BAD)
        get_logger().error("delivery_failed", exc_info=LookupError(BAD), message_id=BAD)
    finally:
        structlog.configure(**before)

    text = raw.getvalue().decode()
    assert text.count("udce9") >= 5
    if format_ == "json":
        first, second = map(json.loads, text.splitlines())
        assert (first["event"], first["event_id"]) == ("event_retried", "caf\\udce9")
        assert second["message_id"] == "caf\\udce9"
