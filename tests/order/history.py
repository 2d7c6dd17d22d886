"""What a campaign wrote down, read back as values. Standard library only, like the checker.

One line is one fact, its words parted by spaces; times are those of `time.monotonic_ns`, which is
one clock for all processes of a Linux machine.

    handled-PID.journal   start|end|raise|reject|cancel TIME PID ID KEY NUMBER ATTEMPT PRIORITY
    published.journal     begun NUMBER TIME KEY PRIORITY, and stored NUMBER TIME
    losses.journal        kill|cut|restart BEGIN END PID, with - for every process
    dead.journal          ID REASON

A handler writes its line before it acts: `end` before it returns, `reject` before it raises. So
what the line says may still be undone by the death of the process, but never the other way round.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NEVER = 2**63
"""A time that does not come."""
SECOND = 1_000_000_000
OUT = ("end", "reject")
"""How a run ends after which its event needs no other one."""
EVERYBODY = 0
"""Instead of a process, where something befell all of them."""


@dataclass(frozen=True, slots=True)
class Published:
    """An event as the generator sent it; `stored`: when the broker had confirmed it."""

    number: int
    id: str
    key: str
    priority: int
    begun: int
    stored: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a handler. `how`: the word of its last line, `died`, or `open` without one."""

    process: int
    id: str
    key: str
    number: int
    attempt: int
    priority: int
    start: int
    close: int
    how: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Between these times a process, or each, was killed or lost its connection."""

    kind: str
    begin: int
    end: int
    process: int = EVERYBODY


@dataclass(frozen=True, slots=True)
class History:
    """A whole campaign. `published` in the order of publishing, `runs` in that of their starts."""

    published: tuple[Published, ...]
    runs: tuple[Run, ...]
    losses: tuple[Loss, ...] = ()
    dead: frozenset[str] = frozenset()


def read_history(folder: Path) -> History:
    """Read the journals of a folder."""
    losses = tuple(
        Loss(kind, int(begin), int(end), EVERYBODY if process == "-" else int(process))
        for kind, begin, end, process in _lines(folder / "losses.journal")
    )
    deaths = {one.process: one.begin for one in losses if one.kind == "kill"}
    runs = [
        run
        for path in folder.glob("handled-*.journal")
        for run in _runs(list(_lines(path)), deaths)
    ]
    return History(
        tuple(_published(folder / "published.journal")),
        tuple(sorted(runs, key=lambda run: run.start)),
        losses,
        frozenset(words[0] for words in _lines(folder / "dead.journal")),
    )


def _published(path: Path) -> Iterator[Published]:
    begun: dict[str, list[str]] = {}
    stored: dict[str, int] = {}
    for word, number, *rest in _lines(path):
        if word == "begun":
            begun[number] = rest
        else:
            stored[number] = int(rest[0])
    for number, (at, key, priority) in begun.items():
        time = stored.get(number, NEVER)
        yield Published(int(number), f"e{number}", key, int(priority), int(at), time)


def _runs(lines: list[list[str]], deaths: dict[int, int]) -> Iterator[Run]:
    """Join starts and ends of one process; what it left open ends with its death."""
    open_: defaultdict[str, list[list[str]]] = defaultdict(list)
    last = 0
    for words in lines:
        last = max(last, int(words[1]))
        if words[0] == "start":
            open_[words[3]].append(words)
        else:
            yield _run(open_[words[3]].pop(0), int(words[1]), words[0])
    for words in (one for several in open_.values() for one in several):
        death = deaths.get(int(words[2]))
        if death is None:
            yield _run(words, NEVER, "open")
        else:  # the moment of the death lies between the call and the last line, or after both
            yield _run(words, max(death, last), "died")


def _run(words: list[str], close: int, how: str) -> Run:
    _, start, process, id_, key, number, attempt, priority = words
    return Run(
        *(int(process), id_, key, int(number), int(attempt), int(priority), int(start)), close, how
    )


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the words of each line."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        if words := line.split():
            yield words
