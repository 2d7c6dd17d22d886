"""The command `tidings`. What a command needs is imported when it runs: --help is instant."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from common.errors import EXIT_FAILED, TidingsError
from ops.arguments import parse

EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `tidings --help` lists the codes."""
    options = parse(argv)
    try:
        module, _, function = options.run.partition(":")
        code: int = getattr(import_module(module), function)(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `… | head` has seen enough
        # Python flushes standard output at its end, and would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except TidingsError as error:
        from common.service import say_error

        say_error(error)
        return error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())
