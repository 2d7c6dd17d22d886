"""`make env`: credentials of this checkout's own, for compose and for the dev overlay's Secret.

Written once. A broker keeps the password that it was first started with, so a new one in the file
would lock everybody out. Needs nothing installed.
"""

import os
import re
import sys
from pathlib import Path

from common.errors import EXIT_FAILED, EXIT_OK
from ops.broker_handle import new_password

EXAMPLES = (Path(".env.example"), Path("k8s/overlays/dev/.env.example"))
"""What is filled in, each to an `.env` beside it. The byo-broker's only its owner can fill in."""

_BLANKS = re.compile(r"(?<=PASSWORD=)$|\bPASSWORD\b", re.MULTILINE)


def write(example: Path, password: str) -> bool:
    """Make `.env` beside the example; False, and nothing done, where there is one.

    Readable for its owner only, from the first byte on.
    """
    text = _BLANKS.sub(password, example.read_text(encoding="utf-8"))
    try:
        descriptor = os.open(target_of(example), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def target_of(example: Path) -> Path:
    """Return the path of the file that is made from an example."""
    return example.with_name(".env")


def main(folder: Path = Path()) -> int:
    """Write what is not there yet and say so; return the exit code."""
    for name in EXAMPLES:
        try:
            written = write(folder / name, new_password())
        except OSError as error:
            print(
                f"{target_of(name)}: {error.strerror or error}: {error.filename}", file=sys.stderr
            )
            return EXIT_FAILED
        done = "written, with a password of its own" if written else "there already: left as it is"
        print(f"{target_of(name)}: {done}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
