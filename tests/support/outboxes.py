"""Files of outboxes, with events that wait and events that are set aside, and their command."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.message import Message, Publishing
from producer.outbox.file import Batch, OutboxFile, Refusal, Stored
from producer.outbox.marks import Mark
from producer.outbox.opening import open_file
from producer.outbox.rows import row_of
from tidings.__main__ import main

AT = 1_700_000_000.123
"""2023-11-14T22:13:20.123Z"""
QUOTA = 100 * 1024 * 1024
TOO_LARGE = "2000 bytes; the broker takes 1000 at most"


def event(
    number: int, type_: str = "order.created", *, body: bytes | None = None, id_: str | None = None
) -> Stored:
    """Make an event with the id `e<number>`, accepted `number` seconds after AT."""
    message = Message(
        orjson.dumps({"order": number}) if body is None else body,
        content_type="application/cloudevents+json",
        message_id=f"e{number}" if id_ is None else id_,
        type=type_,
        app_id="/shop",
        timestamp=int(AT),
        headers={"traceparent": "00-abc-def-01"},
    )
    return Stored(number, AT + number, row_of(Publishing("events", type_, message)))


def refusal(number: int, type_: str = "order.created", reason: str = TOO_LARGE) -> Refusal:
    """Make a set-aside event, refused an hour after it was accepted."""
    return Refusal(event(number, type_), reason, AT + number + 3600)


def write(file: OutboxFile, *rows: Stored | Refusal | Mark) -> None:
    """Write rows of all kinds in one transaction."""
    file.commit(
        Batch(
            refusals=[row for row in rows if isinstance(row, Refusal)],
            accepted=[row for row in rows if isinstance(row, Stored)],
            marks=[row for row in rows if isinstance(row, Mark)],
        )
    )


def filled(path: Path, *rows: Stored | Refusal | Mark) -> Path:
    """Make a file that no producer has open."""
    file = open_file(path, quota=QUOTA)
    write(file, *rows)
    file.close()
    return path


def outbox(*words: str) -> int:
    """Run `tidings outbox` in this process."""
    return main(["outbox", *words])


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was printed, an object per line."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def ids(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Return the ids that a list shows."""
    capsys.readouterr()
    assert outbox("list", "--json", *words) == 0
    return [one["id"] for one in objects(capsys)]
