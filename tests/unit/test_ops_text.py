"""What a sender wrote must not draw on a terminal."""

import json

import pytest

from common.message import Message
from ops.letters.letter import dead_letter
from ops.letters.listing import cell, json_line
from ops.letters.record import record_as_dict, record_as_text
from ops.letters.text import MAX_BODY, harmless, harmless_lines, moment, readable_body
from support.shelves import delivered, letter

RED, CLEAR, BELL, C1, RIGHT_TO_LEFT = "\x1b[31m", "\x1b[2J", "\x07", "\x9b31m", "\u202e"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größer 日本", "größer 日本"),
        (RED + "red", r"\x1b[31mred"),
        (C1, r"\x9b31m"),
        (BELL, r"\x07"),
        ("a\r\nb\tc\0", r"a\r\nb\tc\x00"),
        (RIGHT_TO_LEFT + "txt.exe", r"\u202etxt.exe"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_not_printable_is_written_as_an_escape(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_lines_and_tabs_are_kept_in_a_text_of_many_lines() -> None:
    assert harmless_lines(f"a\n\tb{CLEAR}\r\n") == "a\n    b\\x1b[2J\\r\n"


@pytest.mark.parametrize(
    ("milliseconds", "written"),
    [
        (0, None),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
        (10**30, None),
    ],
)
def test_times_are_written_as_rfc_3339(milliseconds: int, written: str | None) -> None:
    assert moment(milliseconds) == written


@pytest.mark.parametrize(
    ("body", "kind", "shown"),
    [
        (b'{"b":1,"a":"\xc3\xbc"}', "16 bytes, JSON", '{\n  "b": 1,\n  "a": "ü"\n}'),
        (b'"\\u001b[2J"', "11 bytes, JSON", '"\\u001b[2J"'),
        (b"x", "1 byte, not JSON", "x"),
        (b"a\nb\x1b[2J", "7 bytes, not JSON", "a\nb\\x1b[2J"),
        (b"\xff\x00a", "3 bytes, not UTF-8", r"ÿ\x00a"),
        (b"[" * 100_000, "100000 bytes, not JSON", None),
        (b"", "0 bytes, not JSON", ""),
    ],
)
def test_a_body_is_shown_as_what_it_is(body: bytes, kind: str, shown: str | None) -> None:
    found_kind, found = readable_body(body)
    assert found_kind == kind
    assert shown is None or found == shown


def test_a_long_body_is_cut_and_says_so() -> None:
    _, shown = readable_body(b"x" * (MAX_BODY + 10))
    assert shown.endswith("10 characters more; --json has all of it")


def test_a_cell_is_literal_and_short() -> None:
    assert cell("[bold]x[/bold]" + RED).plain == "[bold]x[/bold]\\x1b[31m"
    assert len(cell("x" * 500).plain) == 120
    assert cell("").plain == cell(None).plain == "-"


def test_a_record_of_hostile_texts_draws_on_nothing() -> None:
    _, message = letter(1)
    headers = {**message.headers, "evil": RED, RED: 1, "tidings-message": CLEAR, "n": [b"\xff", {}]}
    hostile = Message(CLEAR.encode(), message_id=BELL, app_id=C1, headers=headers)
    delivery = delivered(hostile, "", "")
    row = dead_letter(delivery, "g")

    text = record_as_text(row, delivery)
    line = json_line(row) + json.dumps(record_as_dict(row, delivery), default=str)

    assert all(character.isprintable() or character == "\n" for character in text)
    assert line.isascii()
    assert line.isprintable()
