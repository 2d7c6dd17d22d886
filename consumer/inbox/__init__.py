"""Which events this group has handled, moved on, or has in hand."""

from consumer.inbox.claim import Claim, Key, key_of
from consumer.inbox.memory import MemoryInbox
from consumer.inbox.protocol import Inbox

__all__ = ["Claim", "Inbox", "Key", "MemoryInbox", "key_of"]
