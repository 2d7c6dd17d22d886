"""What only the consumer can be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, Field

from common.homes import Order
from common.settings import Duration, Settings
from common.slot import PARTITIONS
from common.topology import EVENTS
from consumer.inbox.home import MEMORY, SQLITE
from consumer.inbox.memory import KEEP_SECONDS
from consumer.policy import Patience
from consumer.retry_text import DEFAULT, policy_of
from consumer.retrying import RetryPolicy


def _free_of_our_names(group: str) -> str:
    """Refuse a group whose queues would be those of all groups."""
    if group == EVENTS or group.startswith(f"{EVENTS}."):
        raise ValueError(f"must not begin with '{EVENTS}.', which names what all groups share")
    return group


def _checked_retry(text: str) -> str:
    policy_of(text)
    return text


def _inbox(value: str) -> str:
    if value != MEMORY and (not value.startswith(SQLITE) or value == SQLITE):
        message = f"'{value:.80}' is no inbox; write memory or sqlite:///path/of/inbox.db"
        raise ValueError(message)
    return value


def _partitions(value: int) -> int:
    if value not in PARTITIONS:
        raise ValueError(f"must be one of {', '.join(map(str, PARTITIONS))}")
    return value


SMALLEST_QUOTA = 1024 * 1024
PREFETCH_AHEAD = 4
"""One delivery in four is held ready beside those that run, so that a free slot never waits."""


class ConsumerSettings(Settings):
    """Settings of the consumer; a handler's own argument wins over them."""

    group: Annotated[str, AfterValidator(_free_of_our_names)] = Field(
        "event-consumer",
        pattern=r"^[A-Za-z0-9_.:-]{1,200}$",
        description="name of the group: its queue; each group gets every event once",
    )
    concurrency: int = Field(
        64, ge=1, le=10_000, description="handlers running at once; of plain functions, 32"
    )
    order: Order = Field(
        "any",
        description="`any`; `fifo`: one after the other; `key`: those of one key; `priority` or "
        "`lifo`: the most urgent or the newest of those in hand (docs/ordering.md)",
    )
    order_on_retry: Literal["stop", "skip"] = Field(
        "stop",
        description="with `fifo` or `key`, while an event waits for its next attempt: `stop` those "
        "behind it, or `skip` it, and it comes back behind them",
    )
    partitions: Annotated[int, AfterValidator(_partitions)] = Field(
        16, description="with `key`: queues that the keys are spread over; 1, 2, 4 … 64"
    )
    window: int | None = Field(
        None,
        ge=1,
        le=2000,
        description="events of a queue in hand at most, running and waiting; by default it follows "
        "from the order and the concurrency",
    )
    max_age: Duration | None = Field(
        None, gt=0, description="an event is set aside when its `time` is longer ago at its turn"
    )
    attempts: int = Field(10, ge=1, description="times a handler is started for one event at most")
    retry: Annotated[str, AfterValidator(_checked_retry)] = Field(
        DEFAULT,
        description=(
            "the delays between: this, `linear(5s, 5s)` or `delays(1s, 10s, 1m)`; behind it, if "
            "need be, `, jitter=full` or `none`, `, max_age=6h`"
        ),
    )
    handler_timeout: Duration = Field(
        30.0, gt=0, description="how long one run of a handler may take"
    )
    consumer_timeout: Duration = Field(
        1800.0,
        gt=0,
        description="the broker's consumer timeout, which handler timeouts must stay well below",
    )
    no_handler_for: Duration = Field(
        900.0,
        gt=0,
        description="how long an event without a handler is kept moving (a rolling deploy)",
    )
    data: Path | None = Field(
        None,
        description="a folder for what has to outlive the process: then the inbox is a file there",
    )
    inbox: Annotated[str, AfterValidator(_inbox)] | None = Field(
        None,
        description="where it is kept which events were handled: `memory`, or `sqlite:///path` "
        "(default: `inbox.db` in TIDINGS_DATA where that is set, else `memory`)",
    )
    inbox_keep: Duration = Field(
        KEEP_SECONDS, gt=0, description="how long an event that was handled is not handled again"
    )
    inbox_bytes: ByteSize = Field(
        ByteSize(1024**3),
        ge=SMALLEST_QUOTA,
        description="bytes that an inbox on disk may take; 80 % of the free disk at most",
    )

    @property
    def prefetch(self) -> int:
        """Deliveries held at most; follows from the concurrency."""
        return min(65_535, self.concurrency + max(1, self.concurrency // PREFETCH_AHEAD))

    @property
    def inbox_home(self) -> str:
        """Where it is kept which events were handled, whichever setting says so."""
        if self.inbox is not None:
            return self.inbox
        return MEMORY if self.data is None else f"{SQLITE}{self.data / 'inbox.db'}"

    @property
    def policy(self) -> RetryPolicy:
        """The policy of handlers that have none of their own."""
        return policy_of(self.retry, attempts=self.attempts)

    @property
    def patience(self) -> Patience:
        """How long to wait for a handler."""
        return Patience(self.no_handler_for)
