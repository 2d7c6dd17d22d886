"""What only the consumer can be told."""

import re
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
from consumer.windows import Version, window_of

_OURS = re.compile(r"\.(dead|suspects|begun|fifo|delay\.v\d+\.\d+s|key\d+(\.\w+)?|return)$")
"""How the names of a group's queues and exchanges end."""


def _free_of_our_names(group: str) -> str:
    """Refuse a group whose queues would be those of all groups, of another, or the broker's."""
    if group == EVENTS or group.startswith(f"{EVENTS}."):
        raise ValueError(f"must not begin with '{EVENTS}.', which names what all groups share")
    if group.startswith("amq."):
        raise ValueError("must not begin with 'amq.', which is the broker's")
    if found := _OURS.search(group):
        raise ValueError(
            f"must not end in '{found[0]}', which names a queue of group '{group[: found.start()]}'"
        )
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

    def prefetch(self, version: Version) -> int:
        """Return how many deliveries of a queue are in hand at most, with such a broker."""
        return window_of(self.order, self.concurrency, self.window, version)

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
