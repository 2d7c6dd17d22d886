"""The producer's settings, one environment variable each."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ByteSize, Field

from common.settings import Settings
from producer.outbox.home import MEMORY, SQLITE

SMALLEST_QUOTA = 1024 * 1024
MAX_SOURCE_BYTES = 255
"""The source is also the AMQP property `app_id`, a short string."""


def _source(value: str) -> str:
    if not value.isprintable() or len(value.encode()) > MAX_SOURCE_BYTES:
        message = f"must be printable text of at most {MAX_SOURCE_BYTES} bytes"
        raise ValueError(message)
    return value


def _outbox(value: str) -> str:
    if value != MEMORY and (not value.startswith(SQLITE) or value == SQLITE):
        message = f"'{value:.80}' is no outbox; write memory or sqlite:///path/of/outbox.db"
        raise ValueError(message)
    return value


class ProducerSettings(Settings):
    """What the producer, and the `Producer` of users' own programs, can be told."""

    source: Annotated[str, AfterValidator(_source)] = Field(
        "tidings/producer",
        min_length=1,
        description="the CloudEvents `source` of events that name none: your service's name",
    )
    data: Path | None = Field(
        None,
        description="a folder for what has to outlive the process: then the outbox is a file there",
    )
    outbox: Annotated[str, AfterValidator(_outbox)] | None = Field(
        None,
        description="where accepted events wait for the broker's confirm: `memory`, or "
        "`sqlite:///path` (default: `outbox.db` in TIDINGS_DATA where that is set, else `memory`)",
    )
    outbox_size: int = Field(
        10_000, ge=1, description="events that an outbox in memory holds before others have to wait"
    )
    outbox_bytes: ByteSize = Field(
        ByteSize(1024**3),
        ge=SMALLEST_QUOTA,
        description="bytes that an outbox on disk may take; 80 % of the free disk at most",
    )

    @property
    def outbox_home(self) -> str:
        """Where accepted events wait, whichever setting says so."""
        if self.outbox is not None:
            return self.outbox
        return MEMORY if self.data is None else f"{SQLITE}{self.data / 'outbox.db'}"
