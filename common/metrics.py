"""Every metric of both services in one list: name, labels, buckets.

Values are counted in a registry of their own, so that tests run several services in one process.
Label values come from registered types and closed lists only; anything else counts as `unknown`.
"""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from common.instruments import Counter, Gauge, Histogram

UNKNOWN_TYPE = "unknown"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)


class Metrics:
    """The instruments; `render` answers a scrape."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.connected = Gauge(
            "tidings_connected", "1 while the connection is up", ["role"], registry=registry
        )
        self.blocked = Gauge(
            "tidings_broker_blocked",
            "1 while the broker takes no publishes",
            ["role"],
            registry=registry,
        )
        self.reconnects = Counter(
            "tidings_reconnects", "Connections made after the first", ["role"], registry=registry
        )
        self.published = Counter(
            "tidings_published", "Publishes by answer", ["type", "outcome"], registry=registry
        )
        self.confirm_seconds = Histogram(
            "tidings_publish_confirm_seconds",
            "Time from publish to the broker's answer",
            buckets=_SECONDS,
            registry=registry,
        )
        self.outbox_depth = Gauge(
            "tidings_outbox_depth", "Events accepted and not yet confirmed", registry=registry
        )
        self.outbox_bytes = Gauge(
            "tidings_outbox_bytes", "Bytes that the outbox takes", registry=registry
        )
        self.outbox_oldest_seconds = Gauge(
            "tidings_outbox_oldest_seconds",
            "Age of the oldest event that waits in the outbox",
            registry=registry,
        )
        self.outbox_refused = Gauge(
            "tidings_outbox_refused",
            "Events set aside in the outbox because the broker will never take them",
            registry=registry,
        )
        self.ticks_missed = Counter(
            "tidings_ticks_missed", "Ticks skipped as too late", ["source"], registry=registry
        )
        self.source_leads = Gauge(
            "tidings_source_leads",
            "1 while this replica makes the ticks of the source",
            ["source"],
            registry=registry,
        )
        self.source_errors = Counter(
            "tidings_source_errors", "Times a source raised", ["source"], registry=registry
        )
        self.consumed = Counter(
            "tidings_consumed",
            "Deliveries settled, by outcome",
            ["type", "outcome"],
            registry=registry,
        )
        self.dead_lettered = Counter(
            "tidings_dead_lettered", "Dead letters made", ["type", "reason"], registry=registry
        )
        self.handler_seconds = Histogram(
            "tidings_handler_seconds",
            "Time in the handler",
            ["type"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.event_lag_seconds = Histogram(
            "tidings_event_lag_seconds",
            "Age of an event when its handler starts",
            buckets=_LAG,
            registry=registry,
        )
        self.in_flight = Gauge("tidings_in_flight", "Handlers running", registry=registry)
        self.in_hand = Gauge(
            "tidings_in_hand", "Deliveries in hand, running, waiting and held", registry=registry
        )
        self.prefetch = Gauge(
            "tidings_prefetch", "Deliveries in hand at most, of one queue", registry=registry
        )
        self.partitions = Gauge(
            "tidings_partitions", "Partitions that this consumer takes", registry=registry
        )
        self.redelivered = Counter(
            "tidings_redelivered", "Deliveries the broker gave again", registry=registry
        )
        self.late_settles = Counter(
            "tidings_late_settles", "Acks too late for their channel, dropped", registry=registry
        )
        self.handlers_abandoned = Gauge(
            "tidings_handlers_abandoned",
            "Threads that still run a handler whose time is over",
            registry=registry,
        )
        self.loop_blocked = Counter(
            "tidings_loop_blocked",
            "Times the event loop was blocked for `TIDINGS_LOOP_BLOCKED`",
            registry=registry,
        )
        self.loop_lag = Gauge(
            "tidings_loop_lag_seconds",
            "Longest time in the last minute that the event loop took to answer",
            registry=registry,
        )
        self.unrouted = Gauge(
            "tidings_unrouted_depth",
            "Events nobody is bound for, when last seen",
            registry=registry,
        )

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the exposition and its content type in the format the scraper asked for."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type
