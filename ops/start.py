"""`tidings producer` and `tidings consumer`: start a service, and import only that one.

And `tidings version`, which needs none of them.
"""

from argparse import Namespace

from common.version import VERSION


def producer(options: Namespace) -> int:
    """Run the producer until a signal; return its exit code."""
    from producer.main import run  # noqa: PLC0415 - only one of the two is needed

    return run(tuple(options.modules))


def consumer(options: Namespace) -> int:
    """Run a consumer until a signal; return its exit code."""
    from consumer.main import run  # noqa: PLC0415 - only one of the two is needed

    return run(tuple(options.modules))


def version(_: Namespace) -> int:
    """Print the version."""
    print(f"tidings {VERSION}")
    return 0
