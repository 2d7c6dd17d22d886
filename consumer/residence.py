"""Whether the group lives in this consumer's home: in two, each event would be handled twice.

Looked at before anything is declared, at each connect: a home that is there is bound and fed.
"""

from common.broker import Connection
from common.errors import TopologyMismatch
from common.homes import Home, homes_of, moving_name
from common.topology import Exchange, Queue


async def residence(connection: Connection, home: Home) -> Home | None:
    """Return the home that the group is moving to, away from `home`; None: it lives here.

    While it moves away, its consumers handle what is left here, and nothing may lead here anew.
    Raises TopologyMismatch when the group lives elsewhere or has not yet moved here to the end.
    """
    group = home.group
    others = [one for one in await homes_there(connection, group) if one != home]
    for other in others:
        if await _is_moving_to(connection, other):
            return other
    for other in others:
        if await _is_moving_to(connection, home):
            raise TopologyMismatch(
                f"group '{group}' is still moving here, to the order '{home.name}': "
                f"{other.entrance_said} remains; run `tidings topology migrate` with "
                f"{home.asked_by} to its end, then start this consumer (docs/ordering.md)"
            )
        raise TopologyMismatch(
            f"group '{group}' lives in the order '{other.name}' ({other.entrance_said}), this "
            f"consumer asks for {home.asked_by} ({home.entrance_said}); in both each event would "
            f"be handled twice: go back to {other.asked_by}, or move the group with "
            "`tidings topology migrate` (docs/ordering.md)"
        )
    return None


async def homes_there(connection: Connection, group: str) -> list[Home]:
    """Return the homes of the group that are there, and may be seen; most have one."""
    return [home for home in homes_of(group) if await _is_there(connection, home)]


async def _is_there(connection: Connection, home: Home) -> bool:
    if home.partitions:
        return await connection.exists(Exchange(home.entrance, "headers"))
    return await connection.exists(Queue(home.entrance))


async def _is_moving_to(connection: Connection, home: Home) -> bool:
    return await connection.exists(Exchange(moving_name(home.group, home), "topic"))
