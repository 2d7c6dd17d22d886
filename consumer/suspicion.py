"""Which event may have killed a process, and what becomes of it. PURE.

A broker counts how often an event came back, not why: a process that died, a connection that was
lost, and before 4.3 every nack and every drain. So an event that came back too often is not set
aside for it; it is suspected, and run where it can harm nobody else: alone in its process, out of a
queue of its own (`GROUP.suspects`, prefetch 1). Only deaths alone count, and three are enough.
"""

from consumer.failure import Cause, Failure
from consumer.outcome import Isolate, Outcome, Release

Version = tuple[int, int]

UNCOUNTED_NACKS: Version = (4, 3)
"""From this version on a nack does not count: only lost channels and rejects do."""
SUSPECTED_AFTER = 2
SUSPECTED_AFTER_WHERE_NACKS_COUNT = 5
DEATHS_ALONE = 3
SPACING = (8.0, 32.0)
"""Seconds after the first and the second death alone: what it trips over may be gone by then, and a
group whose processes all die of it has time in between."""
LARGEST_COUNT = 1000
"""A count beyond this is forged or of no more use."""


def suspected(returns: int, version: Version) -> bool:
    """Whether an event that came back so often from the group's own queue is to run alone."""
    nacks_count = version < UNCOUNTED_NACKS
    return returns >= (SUSPECTED_AFTER_WHERE_NACKS_COUNT if nacks_count else SUSPECTED_AFTER)


def suspected_in_place(returns: int) -> bool:
    """Whether an event of an ordered home is to run with nothing beside it, and to be noted.

    There every change of its consumer counts as a return, on every version.
    """
    return returns >= SUSPECTED_AFTER_WHERE_NACKS_COUNT


def crashed_in_place(deaths: int) -> Failure | None:
    """Say whether so many processes have ended while they ran it with nothing beside it."""
    return _crashed(deaths) if deaths >= DEATHS_ALONE else None


def alone(deaths: int, returns: int) -> Outcome | Failure | None:
    """Say what follows for a suspect: None to run it now.

    `deaths`: those it had before it was copied to where it is now; `returns`: how often it came
    back since.
    """
    if not returns:
        return None
    deaths += returns
    if deaths >= DEATHS_ALONE:
        return _crashed(deaths)
    return Isolate(SPACING[min(deaths, len(SPACING)) - 1], deaths)


def _crashed(deaths: int) -> Failure:
    return Failure(
        Cause.CRASHED,
        message=f"its process ended {deaths} times while it handled this event alone",
    )


def handed_back(deaths: int, version: Version) -> Outcome:
    """Say how a suspect is handed back at a stop, so that it does not count as a death."""
    return Release() if version >= UNCOUNTED_NACKS else Isolate(0.0, deaths)


def returns_of(count: object, *, redelivered: bool) -> int:
    """Read the broker's count of returns; a first delivery carries what the sender wrote there."""
    if not redelivered or count is None:  # 4.3 writes none for what was only nacked
        return 0
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= LARGEST_COUNT:
        return 1
    return max(1, count)
