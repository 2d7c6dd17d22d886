"""Where the outbox is that a command is about."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigError
from common.settings import load
from producer.outbox.home import file_of
from producer.outbox.visiting import Visit, visit
from producer.settings import ProducerSettings

UNUSED_URI = "amqps://localhost/"
"""No broker is needed here, so AMQP_URI may be missing; with TLS, as certificates may be set."""


def path_of(options: Namespace) -> Path:
    """Return the file that is named by --file or by the producer's settings.

    Raises ConfigError when that is none.
    """
    if options.file is not None:
        return Path(options.file)
    settings = load(ProducerSettings, amqp_uri=UNUSED_URI)
    file = file_of(settings.outbox_home)
    if file is None:
        raise ConfigError(
            "the outbox is in memory, so there is nothing to look at: set TIDINGS_OUTBOX (or "
            "TIDINGS_DATA) as your producer has it, or say --file PATH"
        )
    return file


@contextmanager
def opened(options: Namespace, *, change: bool = False) -> Iterator[Visit]:
    """Open it, beside its producer; see `visit` for what is raised."""
    try:
        with visit(path_of(options), change=change) as found:
            yield found
    except ConfigError as error:
        if options.file is None:
            raise
        raise ConfigError(str(error).replace("TIDINGS_OUTBOX: ", "--file: ", 1)) from None
