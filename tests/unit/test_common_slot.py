"""The slot of an event: which one it is, who gets one, and that every copy keeps it."""

import re
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.broker.fastlane.properties import encode_content
from common.deadletter import DeadLetter
from common.envelope import ordering_key, republished, to_message
from common.event import Event, ExtensionValue
from common.history import History
from common.message import HeaderValue, Message, Publishing
from common.slot import PARTITIONS, SLOT, SLOTS, slot_of, slots_of
from ops.letters.shelf import dead_shelf, unrouted_shelf
from support.shelves import delivered

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("c-7731", "37"),
        ("customer-7", "8"),
        ("a", "3"),
        ("123456789", "38"),
        ("Zoë", "42"),
        ("日本", "12"),
        ("🍎", "23"),
        ("", "0"),
        ("x" * 10_000, "35"),
    ],
)
def test_the_slot_of_a_key_is_what_it_has_always_been(key: str, slot: str) -> None:
    """Other languages write it too: a change would tear a key's events apart."""
    assert slot_of(key) == slot


def test_the_function_is_the_crc_32_of_gzip_and_zip() -> None:
    """The check value that catalogues of CRCs give for CRC-32/ISO-HDLC."""
    assert crc32(b"123456789") == 0xCBF43926
    assert slot_of("123456789") == str(0xCBF43926 % 64)


def test_the_check_values_for_other_languages_are_right() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "producing.md"

    rows = re.findall(r"\| `(.+)` \| `(0x[0-9A-F]{8})` \| `(\d+)` \|", page.read_text("utf-8"))

    assert [key for key, _, _ in rows] == ["c-7731", "Zoë"]
    for key, whole, slot in rows:
        assert crc32(key.encode()) == int(whole, 16)
        assert slot_of(key) == slot


@given(st.text(st.characters()))
def test_every_text_has_a_slot_of_two_digits_at_most(key: str) -> None:
    assert int(slot_of(key)) in range(SLOTS)
    assert len(slot_of(key)) <= 2


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_each_slot_belongs_to_one_partition_and_all_have_equally_many(partitions: int) -> None:
    found = [slots_of(number, partitions) for number in range(partitions)]

    assert {len(slots) for slots in found} == {SLOTS // partitions}
    assert sorted(int(slot) for slots in found for slot in slots) == list(range(SLOTS))


@pytest.mark.parametrize(
    ("subject", "extensions", "key"),
    [
        (None, {}, None),
        ("", {}, None),
        ("s", {}, "s"),
        ("Zoë", {}, "Zoë"),
        (None, {"partitionkey": "p"}, "p"),
        ("s", {"partitionkey": "p"}, "p"),
        ("", {"partitionkey": "p"}, "p"),
        ("s", {"partitionkey": ""}, "s"),
        (None, {"partitionkey": ""}, None),
        ("s", {"region": "eu"}, "s"),
        (None, {"region": "eu"}, None),
        (None, {"partitionkey": 0}, "0"),
        ("s", {"partitionkey": 7731}, "7731"),
    ],
)
def test_the_partition_key_wins_over_the_subject_and_what_is_empty_is_no_key(
    subject: str | None, extensions: dict[str, ExtensionValue], key: str | None
) -> None:
    event = Event("t", 1, id="1", source="s", subject=subject, extensions=extensions)

    assert ordering_key(event) == key
    assert to_message(event).headers == ({} if key is None else {SLOT: slot_of(key)})


def test_the_slot_stands_beside_the_trace_and_what_was_given() -> None:
    extensions: dict[str, ExtensionValue] = {"traceparent": TRACE, "partitionkey": "c-7731"}
    event = Event("t", id="1", source="s", extensions=extensions)
    given_headers: dict[str, str | int] = {"mine": 1}

    message = to_message(event, headers=given_headers)

    assert message.headers == {"traceparent": TRACE, "mine": 1, SLOT: "37"}
    assert given_headers == {"mine": 1}


def keyed() -> Message:
    """A message of a key with a history, and with headers of everybody's."""
    message = to_message(Event("order.created", 1, id="e1", source="/shop", subject="c-7731"))
    history = History(attempts=3, hop=2, exchange="events", routing_key="order.created")
    before = {"tidings-attempt": 42, "tidings-forged": "x", "x-death": [{"count": 1}], "mine": "y"}
    return message._replace(headers={**message.headers, **before, **history.headers()})


def test_a_copy_keeps_the_slot_and_no_other_header_of_ours() -> None:
    copy = republished(keyed(), {"tidings-hop": 3}, message_id="e1")

    assert copy.headers == {"mine": "y", SLOT: "37", "tidings-hop": 3}


def test_a_dead_letter_its_replay_and_one_more_retry_keep_the_slot() -> None:
    record = DeadLetter(reason="attempts_spent", id="e1", history=History(attempts=3, hop=3))

    dead = republished(keyed(), record.headers(), message_id="e1")
    again = dead_shelf("g").again(delivered(dead), "unused").message
    retry = republished(again, History.of(delivered(again)).copied().headers(), message_id="e1")

    assert [one.headers[SLOT] for one in (dead, again, retry)] == ["37"] * 3
    assert "tidings-reason" not in again.headers


def test_an_unrouted_event_is_replayed_with_its_slot() -> None:
    found = delivered(keyed(), "events", "order.created")

    assert unrouted_shelf().again(found, "unused").message.headers[SLOT] == "37"


def test_a_slot_has_room_beside_foreign_headers_that_fill_a_frame() -> None:
    original = keyed()._replace(headers={SLOT: "37", "huge": "x" * 120_000})

    assert republished(original, {"tidings-hop": 1}, message_id="e1").headers == {
        SLOT: "37",
        "tidings-hop": 1,
    }


@pytest.mark.parametrize(
    "slot",
    [b"9", "9" * 9, "x" * 100_000, ["9"], {"9": "9"}, 9, 2**63, 1.5, True, None],
    ids=lambda value: f"{type(value).__name__} {value!s:.9}",
)
def test_a_slot_that_can_be_none_is_left_out_of_a_copy(slot: HeaderValue) -> None:
    copy = republished(Message(b"{}", headers={SLOT: slot}), {"tidings-hop": 1}, message_id="1")

    assert copy.headers == {"tidings-hop": 1}


@given(
    st.none() | st.booleans() | st.integers() | st.binary() | st.text() | st.lists(st.text()),
)
def test_no_slot_whatsoever_makes_a_copy_fail_or_one_that_cannot_be_written(
    slot: HeaderValue,
) -> None:
    original = Message(b"{}", headers={SLOT: slot})

    copy = republished(original, {"tidings-hop": 1}, message_id="1")

    assert encode_content(Publishing("g.return", "g", copy))
    assert copy.headers.get(SLOT) in {None, slot if isinstance(slot, str) else None}
