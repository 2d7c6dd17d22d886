"""`make env`: `.env` with credentials of this checkout's own, which compose.yaml reads.

Written once. A broker keeps the password that it was first started with, so a new one in the file
would lock everybody out.
"""

import os
import sys
from pathlib import Path

from common.errors import EXIT_FAILED, EXIT_OK
from ops.broker_handle import new_password

EXAMPLE = Path(".env.example")
TARGET = Path(".env")
BLANK = "BROKER_PASSWORD="
"""The line of the example that gets a value."""


def write(folder: Path, password: str) -> bool:
    """Make `.env` in `folder` from the example there; False, and nothing done, where there is one.

    Readable for its owner from the first byte on.
    """
    lines = (folder / EXAMPLE).read_text(encoding="utf-8").splitlines()
    lines[lines.index(BLANK)] += password
    try:
        with (folder / TARGET).open("x", encoding="utf-8", opener=_private) as file:
            file.write("\n".join([*lines, ""]))
    except FileExistsError:
        return False
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def main(folder: Path = Path()) -> int:
    """Write it and say so; return the exit code."""
    try:
        written = write(folder, new_password())
    except OSError as error:
        print(f"{TARGET}: cannot be written: {error.strerror or error}", file=sys.stderr)
        return EXIT_FAILED
    if written:
        print(f"{TARGET} is written, with a password of its own; `docker compose up` reads it")
    else:
        print(f"{TARGET} is there already, and left as it is")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
