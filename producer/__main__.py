"""`python -m producer [MODULES]`: the producer without the command `tidings`."""

import sys

from producer.main import run

if __name__ == "__main__":
    modules = [name for argument in sys.argv[1:] for name in argument.split(",") if name]
    sys.exit(run(modules))
