"""Lines about what happens often are written seldom, and lose no count."""

from common.seldom import Seldom


async def test_the_first_is_said_at_once_and_the_rest_is_counted_in_silence() -> None:
    seldom = Seldom(1000.0)

    assert [seldom.due("full", count) for count in (3, 1, 1)] == [3, 0, 0]
    assert seldom.due("gone") == 1


async def test_the_next_line_tells_what_was_silent() -> None:
    seldom = Seldom(1000.0)
    for _ in range(5):
        seldom.due("full")

    seldom._last["full"] -= 1000.0  # time passes

    assert seldom.due("full") == 5
    assert seldom.due("full") == 0
