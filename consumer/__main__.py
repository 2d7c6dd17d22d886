"""`python -m consumer [MODULES]`, the same as `tidings consumer`."""

import sys

from consumer.main import run

sys.exit(run(tuple(sys.argv[1:])))
