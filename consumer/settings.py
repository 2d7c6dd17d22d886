"""What only the consumer can be told."""

from typing import Annotated

from pydantic import AfterValidator, Field

from common.settings import Duration, Settings
from common.topology import EVENTS
from consumer.policy import Patience, RetryPolicy


def _free_of_our_names(group: str) -> str:
    """Refuse a group whose queues would be those of all groups."""
    if group == EVENTS or group.startswith(f"{EVENTS}."):
        raise ValueError(f"must not begin with '{EVENTS}.', which names what all groups share")
    return group


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
    attempts: int = Field(10, ge=1, description="times a handler is started for one event at most")
    handler_timeout: Duration = Field(
        30.0, gt=0, description="how long one run of a handler may take"
    )
    no_handler_for: Duration = Field(
        900.0,
        gt=0,
        description="how long an event without a handler is kept moving (a rolling deploy)",
    )

    @property
    def prefetch(self) -> int:
        """Deliveries held at most; follows from the concurrency."""
        return min(65_535, self.concurrency + max(1, self.concurrency // PREFETCH_AHEAD))

    @property
    def policy(self) -> RetryPolicy:
        """The policy of handlers that have none of their own."""
        return RetryPolicy(attempts=self.attempts)

    @property
    def patience(self) -> Patience:
        """How long to wait for a handler."""
        return Patience(self.no_handler_for)
