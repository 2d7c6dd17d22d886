"""Choose the home of accepted events by `TIDINGS_OUTBOX`."""

from pathlib import Path

from producer.outbox.entry import Outbox
from producer.outbox.memory import MemoryOutbox
from producer.outbox.opening import open_file
from producer.outbox.sqlite import SqliteOutbox

MEMORY = "memory"
SQLITE = "sqlite:///"
"""Before the path of a file: `sqlite:///outbox.db`, with a fourth slash for an absolute path."""


def file_of(home: str) -> Path | None:
    """Return the file of a home on disk."""
    return Path(home.removeprefix(SQLITE)) if home.startswith(SQLITE) else None


def open_outbox(home: str, *, size: int, quota: int) -> Outbox:
    """Open a home: `size` events at most in memory, `quota` bytes at most on disk.

    Raises ConfigError when its file is in use, damaged, or not ours.
    """
    file = file_of(home)
    return MemoryOutbox(size) if file is None else SqliteOutbox(open_file(file, quota=quota))
