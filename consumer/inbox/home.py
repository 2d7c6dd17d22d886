"""Choose the home of the inbox by `TIDINGS_INBOX`."""

from pathlib import Path

from consumer.inbox.memory import MemoryInbox
from consumer.inbox.opening import open_file
from consumer.inbox.protocol import Inbox
from consumer.inbox.sqlite import SqliteInbox

MEMORY = "memory"
SQLITE = "sqlite:///"
"""Before the path of a file: `sqlite:///inbox.db`, with a fourth slash for an absolute path."""


def file_of(home: str) -> Path | None:
    """Return the file of a home on disk."""
    return Path(home.removeprefix(SQLITE)) if home.startswith(SQLITE) else None


def open_inbox(home: str, *, group: str, keep: float, quota: int) -> Inbox:
    """Open the inbox of a group: it remembers for `keep` seconds, in `quota` bytes on disk.

    Raises ConfigError when its file is damaged, or not ours.
    """
    file = file_of(home)
    if file is None:
        return MemoryInbox(keep=keep)
    return SqliteInbox(open_file(file, group=group, quota=quota), keep=keep)
