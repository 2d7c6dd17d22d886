"""Ids of events that have no place in a schedule: random UUIDs (version 4)."""

import os

BLOCK = 64
"""Ids made at once: to ask the system for random bytes takes as long as to write an id."""

_ready: list[str] = []
os.register_at_fork(after_in_child=_ready.clear)
"""Two processes that fork from one must not have the same ids before them."""


def new_id() -> str:
    """Return an id that nobody else has; in any thread. `str(uuid4())` takes five times as long."""
    try:
        return _ready.pop()
    except IndexError:
        _ready.extend(_block())
        return new_id()


def _block() -> list[str]:
    raw = os.urandom(16 * BLOCK)
    return [_written(raw[start : start + 16]) for start in range(0, len(raw), 16)]


def _written(raw: bytes) -> str:
    """Write 16 random bytes as a UUID; version and variant take the place of six bits."""
    digits = raw.hex()
    variant = "89ab"[raw[8] & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
