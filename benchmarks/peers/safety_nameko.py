"""Nameko in `make safety`.

Defaults: `@event_handler("safety", TYPE)` (acks whatever the outcome, `requeue_on_error` off;
durable classic queue; 10 workers), `nameko run MODULE --broker URI`, and its standalone event
dispatcher to publish. An event's type is its routing key, so one of an unknown type is bound for no
queue.
"""

import os

from benchmarks.peers.safety_events import TYPE, data, handle, no_core_dump

no_core_dump()

if __name__ == "__main__":
    from nameko.standalone.events import event_dispatcher

    dispatch = event_dispatcher({"AMQP_URI": os.environ["AMQP_URI"]})
    dispatch("safety", TYPE, data())
else:
    from nameko.events import event_handler

    class Receiver:
        """The service."""

        name = "receiver"

        @event_handler("safety", TYPE)
        def take(self, got: dict[str, str]) -> None:
            handle(got["id"])
