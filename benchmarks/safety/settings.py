"""What a run of `make safety` is told, in SAFETY_… variables."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.safety.contestants import NAMES

WHAT: Final[Mapping[str, str]] = {
    "raises": "handler raises",
    "json": "body is not JSON",
    "unknown": "unknown type",
    "kill": "kill -9 in the handler",
    "crash": "event kills the process",
}
AT_ONCE: Final = 3
"""Cells at one time: most of it is waiting."""


@dataclass(frozen=True, slots=True)
class Options:
    """A run."""

    only: tuple[str, ...] = NAMES
    what: tuple[str, ...] = tuple(WHAT)
    write: bool = False
    at_once: int = AT_ONCE


def read(environment: Mapping[str, str] = os.environ) -> Options:
    """Read the variables. Exits with a line that says what is wrong."""
    return Options(
        only=_names(environment, "SAFETY_ONLY", NAMES),
        what=_names(environment, "SAFETY_WHAT", tuple(WHAT)),
        write=environment.get("SAFETY_WRITE", "") not in ("", "0"),
        at_once=int(environment.get("SAFETY_AT_ONCE") or AT_ONCE),
    )


def _names(
    environment: Mapping[str, str], variable: str, known: tuple[str, ...]
) -> tuple[str, ...]:
    asked = {one.strip() for one in environment.get(variable, "").split(",") if one.strip()}
    if unknown := asked - set(known):
        sys.exit(f"{variable}: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return tuple(one for one in known if not asked or one in asked)
