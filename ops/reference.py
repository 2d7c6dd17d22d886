"""Write `docs/reference.md` from the code, so that it cannot be wrong: `make docs`.

With `--check` only look whether it is fresh; `make check` does.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from common import errors
from common.deadletter import Reason
from common.group_topology import group_topology
from common.homes import home_of, home_topology
from common.instruments import Instrument
from common.metrics import Metrics
from common.settings import Settings, variable_of
from common.topology import EVENTS, UNROUTED, Topology
from consumer.settings import ConsumerSettings
from ops.settings import OpsSettings
from producer.settings import ProducerSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

KEYED = home_of("GROUP", "key", 16)
"""The example of a partitioned home."""

HOMES = f"""\
Of a group called `GROUP`, on RabbitMQ 4.x; `{EVENTS}` and `{UNROUTED}` belong to all. Its events
wait in `GROUP` with `TIDINGS_ORDER` `any`, `lifo` or `priority`, in `GROUP.fifo` with `fifo`, and
with `key` in as many queues as there are partitions, such as those of `{KEYED.entrance}`."""

REASONS = {
    Reason.MALFORMED: "the body is no JSON or no CloudEvent, or a property or header unreadable",
    Reason.INVALID_PAYLOAD: "the data is not what the handler's annotation asks for",
    Reason.TOO_LARGE: "the body is larger than `TIDINGS_MAX_EVENT_BYTES`",
    Reason.NO_HANDLER: "no replica had a handler for the type for `TIDINGS_NO_HANDLER_FOR`",
    Reason.REJECTED: "the handler raised `Reject`",
    Reason.UNRECOVERABLE: "the handler raised a type that its policy calls unrecoverable",
    Reason.ATTEMPTS_SPENT: "the handler failed as often as its policy allows",
    Reason.TOO_OLD: "its policy's `max_age` or `TIDINGS_MAX_AGE` was over, or a day of snoozes",
    Reason.EXPIRED: "its `expirytime` was over before a handler could start",
    Reason.CONFLICT: "another event with the same source and id, and other content, came before",
    Reason.CRASHED: "it was in the hands of processes that died (not yet given)",
    Reason.DELIVERY_LIMIT: "the broker's own last net: it came back 20 times unsettled",
}

EXIT_CODES = {
    errors.EXIT_OK: "done; a service was asked to stop and has drained",
    errors.EXIT_FAILED: "it failed; the line on standard error says why",
    2: "wrong usage of a command",
    errors.EXIT_UNAVAILABLE: "the broker is not there (commands; services keep trying)",
    errors.EXIT_CONFIG: "a setting, a module, a right or the topology is wrong; a line says which",
    130: "ended by Ctrl-C, or by a second signal",
}


def page() -> str:
    """Return the whole page."""
    parts = [
        "# Reference",
        "Written by `make docs` from the code; do not edit.",
        "## Settings",
        "One environment variable each; with `_FILE` appended it names a file with the value.",
        *_settings("Both services", Settings, ()),
        *_settings("The producer", ProducerSettings, Settings.model_fields),
        *_settings("The consumer", ConsumerSettings, Settings.model_fields),
        *_settings("The operating commands", OpsSettings, ConsumerSettings.model_fields),
        "## Metrics",
        _table(("name", "kind", "labels", "meaning"), _metrics()),
        "## Reasons of dead letters",
        _table(("reason", "meaning"), ((f"`{reason}`", REASONS[reason]) for reason in Reason)),
        "## Exit codes",
        _table(("code", "meaning"), ((str(code), text) for code, text in EXIT_CODES.items())),
        "## Topology",
        HOMES,
        _table(("exchange", "type", "arguments"), _exchanges()),
        _table(("queue", "arguments"), _queues()),
    ]
    return "\n\n".join(parts) + "\n"


def _settings(title: str, kind: type[Settings], without: Iterable[str]) -> Iterator[str]:
    fields = {name: field for name, field in kind.model_fields.items() if name not in set(without)}
    yield f"### {title}"
    rows = ((f"`{variable_of(n, f)}`", _default(f), f.description or "") for n, f in fields.items())
    yield _table(("variable", "default", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(must be set)"
    return f"`{field.default}`" if field.default != () else "(none)"


def _metrics() -> Iterator[tuple[str, ...]]:
    for metric in vars(Metrics()).values():
        if isinstance(metric, Instrument):
            labels = ", ".join(metric.labelnames) or "-"
            yield (f"`{metric.name}{metric.suffix}`", metric.kind, labels, metric.documentation)


def _exchanges() -> Iterator[tuple[str, ...]]:
    for one in _topology().exchanges:
        yield f"`{one.name}`", one.type, _arguments(dict(one.arguments))


def _queues() -> Iterator[tuple[str, ...]]:
    for one in _topology().queues:
        number = one.name.removeprefix(f"{KEYED.entrance}.")
        if number == "0":
            last = KEYED.partition(KEYED.partitions - 1)
            yield f"`{one.name}` … `{last}`", _arguments(one.arguments_for((4, 3)))
        elif not number.isdigit():
            yield f"`{one.name}`", _arguments(one.arguments_for((4, 3)))


def _topology() -> Topology:
    """Return what a group has in any order, and then what its ordered homes are made of."""
    anyhow = group_topology("GROUP", (), longest_delay=1)
    return anyhow + home_topology(home_of("GROUP", "fifo", 0)) + home_topology(KEYED)


def _arguments(arguments: dict[str, str | int]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in arguments.items()) or "-"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: list[str]) -> int:
    """Write the page, or say that it is not fresh."""
    fresh = page()
    if "--check" not in argv:
        PAGE.write_text(fresh, encoding="utf-8")
        return errors.EXIT_OK
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == fresh:
        return errors.EXIT_OK
    sys.stderr.write("docs/reference.md is not fresh: make docs\n")
    return errors.EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
