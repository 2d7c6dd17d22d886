"""Who takes part in `make safety`: how each is run, and what its queues mean."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.contestants import OURS, PEERS, Contestant
from benchmarks.peers.safety_events import TYPE


@dataclass(frozen=True, slots=True)
class Entry:
    """A library with its defaults; `command` and `queue` are what it names them by itself."""

    name: str
    queue: str
    command: tuple[str, ...]
    """How its consumer runs, after its Python; `{module}` and `{uri}` are filled in."""
    waiting: tuple[str, ...] = ()
    """Parts of names of queues in which an event waits to be tried again."""
    variables: tuple[tuple[str, str], ...] = ()
    """Its settings in the environment."""
    type_is_key: bool = False
    """The routing key says the type, and nothing else does."""

    note: str = ""
    """What a reader of the table must know."""

    @property
    def library(self) -> Contestant:
        """How it is installed."""
        return Contestant(self.name, self.queue)

    @property
    def python(self) -> str:
        """The Python that has it."""
        return self.library.command[0]

    @property
    def module(self) -> str:
        """Its program; run as such it publishes one event."""
        return f"benchmarks.peers.safety_{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """Its settings in the environment, by name."""
        return dict(self.variables)

    @property
    def defaults(self) -> str:
        """Its settings, from the beginning of its file."""
        text = (PEERS / f"safety_{self.name}.py").read_text(encoding="utf-8")
        said = ast.get_docstring(ast.parse(text)) or ""
        return said.partition("\n\n")[2].strip()

    def consumer(self, uri: str) -> list[str]:
        """Return the command of its consumer."""
        return [self.python, *(one.format(module=self.module, uri=uri) for one in self.command)]

    def sender(self) -> list[str]:
        """Return the command that publishes one event."""
        return [self.python, "-m", self.module, "send"]

    def waits_in(self, queue: str) -> bool:
        """Tell whether an event in this queue will be tried again by itself."""
        return any(part in queue for part in self.waiting)


ALL: Final[Sequence[Entry]] = (
    Entry(
        OURS,
        "safety",
        ("-m", "tidings", "consumer", "{module}"),
        waiting=(".delay.", ".suspects"),
        variables=(
            ("TIDINGS_GROUP", "safety"),
            ("TIDINGS_NO_HANDLER_FOR", "5s"),
            ("TIDINGS_PROBES_PORT", "0"),
        ),
        note="set to 2 attempts with 1 s between them (default 10 over 2.5 hours), and to 5 s of "
        "patience with an unknown type (default 15 minutes), so that the run ends.",
    ),
    Entry("faststream", "safety", ("-m", "{module}")),
    Entry("celery", "celery", ("-m", "celery", "-A", "{module}", "worker")),
    Entry("dramatiq", "default", ("-m", "dramatiq", "{module}"), waiting=(".DQ",)),
    Entry("taskiq", "taskiq", ("-m", "taskiq", "worker", "{module}:broker")),
    Entry(
        "nameko",
        f"evt-safety-{TYPE}--receiver.take",
        ("-m", "nameko", "run", "{module}", "--broker", "{uri}"),
        type_is_key=True,
    ),
)
NAMES: Final = tuple(one.name for one in ALL)
