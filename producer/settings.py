"""The producer's settings, one environment variable each."""

from typing import Annotated

from pydantic import AfterValidator, Field

from common.settings import Settings

MAX_SOURCE_BYTES = 255
"""The source is also the AMQP property `app_id`, a short string."""


def _source(value: str) -> str:
    if not value.isprintable() or len(value.encode()) > MAX_SOURCE_BYTES:
        message = f"must be printable text of at most {MAX_SOURCE_BYTES} bytes"
        raise ValueError(message)
    return value


def _outbox(value: str) -> str:
    if value != "memory":
        message = "'memory' is the only outbox so far"
        raise ValueError(message)
    return value


class ProducerSettings(Settings):
    """What the producer, and the `Producer` of users' own programs, can be told."""

    source: Annotated[str, AfterValidator(_source)] = Field(
        "tidings/producer",
        min_length=1,
        description="the CloudEvents `source` of events that name none: your service's name",
    )
    outbox: Annotated[str, AfterValidator(_outbox)] = Field(
        "memory", description="where accepted events wait for the broker's confirm: `memory`"
    )
    outbox_size: int = Field(
        10_000, ge=1, description="events that the outbox holds before who makes more has to wait"
    )
