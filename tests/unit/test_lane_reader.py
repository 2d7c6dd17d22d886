"""What aiormq reads from: its end is an error that aiormq knows, at whichever moment it comes."""

import asyncio

import pytest

from common.broker.fastlane.transport import LaneReader


async def test_the_end_is_told_by_the_next_read_only() -> None:
    """Asked whether it is at its end, with a frame just read, aiormq would end without a reason."""
    reader = LaneReader()
    reader.feed_data(b"frame")
    reader.feed_eof()

    assert await reader.readexactly(5) == b"frame"
    assert not reader.at_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(1)
