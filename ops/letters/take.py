"""`replay` and `drop`: take letters off a shelf, after they are safe elsewhere or given up."""

import asyncio

from common.broker import Connection, connect
from common.errors import EXIT_FAILED, EXIT_OK, BrokerUnavailable, TidingsError, TopologyMismatch
from common.service import say_error
from consumer.residence import homes_there
from ops.command import Stop, say
from ops.letters.desk import LOOKING_WINDOW, Desk, matching
from ops.letters.letter import Kinds, Letter, Wanted
from ops.letters.listing import json_line, print_kinds
from ops.letters.progress import shown
from ops.letters.question import confirmed
from ops.letters.replay import WINDOW, Order, Replay, Tally, reason_to_leave
from ops.letters.scan import Place
from ops.letters.shelf import Shelf

LOOK_SECONDS = 0.3
MOST_LOOKS = 10
"""Looks at how much a queue holds, until two in a row agree."""


async def replay(desk: Desk, order: Order, *, dry_run: bool, as_json: bool, stop: Stop) -> int:
    """Send the letters that match again, then take them off the shelf."""
    if dry_run:
        return await _dry_run(desk, order, as_json=as_json, stop=stop)
    shelf, tally = desk.shelf, Tally()

    def on_sent(letter: Letter) -> None:
        if as_json:
            print(json_line(letter), flush=True)

    # Two connections: a broker that blocks publishing stops reading the acks of the same one.
    async with connect(desk.uri, name=f"tidings: replay of {shelf.queue}") as publisher:
        if shelf.group is not None and not await homes_there(publisher, shelf.group):
            raise TopologyMismatch(
                f"group '{shelf.group}' has no queue, or this user may not see it: start a "
                "consumer of that group once"
            )
        async with desk.scan(WINDOW, stop) as found:
            run = Replay(shelf, order, publisher, tally, on_sent)
            async with shown("replay", total=found.depth, done=lambda: (tally.looked, tally.sent)):
                await run.run(found, stop)
        waiting = await _depth_now(publisher, shelf)
    if not found.depth:
        desk.say_nothing_found(found)
        return EXIT_OK
    if found.lost:
        tally.unsure = max(tally.unsure, min(tally.sent, WINDOW))
    for line in _told(tally, found.depth, shelf, waiting, stopped=stop.is_set()):
        say(line)
    if tally.failure is not None:
        say_error(tally.failure)
        return tally.failure.exit_code
    return EXIT_OK


async def drop(
    desk: Desk, wanted: Wanted, limit: int | None, *, sure: bool, as_json: bool, stop: Stop
) -> int:
    """Delete the letters that match, after saying how many and, unless `sure`, asking."""
    taken: list[tuple[Place, Letter]] = []
    async with desk.scan(LOOKING_WINDOW, stop) as found:
        async for letter, delivery in matching(desk, found, wanted, limit):
            taken.append((found.hold(delivery), letter))
        if stop.is_set():
            return EXIT_FAILED
        if not taken:
            desk.say_nothing_found(found)
            return EXIT_OK
        many = desk.shelf.counted(len(taken))
        if not as_json:
            print_kinds(Kinds.of(letter for _, letter in taken), many)
        # They are held while the question is open: what is dropped is what was counted.
        if not (sure or await confirmed(f"Drop {many} for ever? [y/N] ", stop)):
            say("nothing dropped")
            return EXIT_FAILED
        dropped = [letter for place, letter in taken if found.ack(place)]
    if as_json:
        for letter in dropped:
            print(json_line(letter))
    if found.lost:
        raise BrokerUnavailable(f"connection lost while dropping {many}: some may still be there")
    say(f"dropped {many}")
    return EXIT_OK


async def _dry_run(desk: Desk, order: Order, *, as_json: bool, stop: Stop) -> int:
    kinds, tally, letters = Kinds(), Tally(), []
    async with desk.scan(LOOKING_WINDOW, stop) as found:
        async for delivery in found.deliveries():
            found.hold(delivery)
            letter = desk.shelf.letter_of(delivery)
            left = reason_to_leave(letter, order, {})
            if left is not None:
                tally.left[left] += 1
                continue
            kinds.add(letter)
            if as_json:
                letters.append(letter)
            if kinds.total == order.limit:
                break
    if as_json:
        for letter in letters:
            print(json_line(letter))
    elif kinds.total:
        print_kinds(kinds, f"would replay {desk.shelf.counted(kinds.total)}")
    else:
        desk.say_nothing_found(found)
    for left, count in tally.left.items():
        say(f"would leave {count}: {left}")
    return EXIT_OK


def _told(
    tally: Tally, depth: int, shelf: Shelf, waiting: int | None, *, stopped: bool
) -> list[str]:
    """Tell how far a replay came, in lines."""
    lines = [f"replayed {tally.sent} of {shelf.counted(depth)} to {shelf.destination}"]
    lines += [f"left {count}: {left}" for left, count in tally.left.items()]
    if tally.unsure:
        lines.append(f"up to {tally.unsure} may come a second time: their acks may be lost")
    if waiting is not None:
        lines.append(f"{waiting} in {shelf.queue} now")
    if stopped or tally.failure:
        lines.append("stopped before the end; the same command goes on from here")
    return lines


async def _depth_now(connection: Connection, shelf: Shelf) -> int | None:
    """Return what lies in the queue after the run; None when the broker cannot be asked."""
    try:
        found = await connection.depth(shelf.queue)
        # A quorum queue counts what it has confirmed a moment later: ask until it says the same.
        for _ in range(MOST_LOOKS):
            await asyncio.sleep(LOOK_SECONDS)
            before, found = found, await connection.depth(shelf.queue)
            if found == before:
                break
    except TidingsError:
        return None
    return found
