"""The only door to RabbitMQ: values in, values out; no AMQP library's object passes it.

`connect` makes one connection; a `Supervisor` keeps one up. The contract that any implementation
behind this door must meet is `tests/integration/test_door_*.py`.
"""

from common.broker.connection import Connection, connect
from common.broker.fastlane.deliveries import Subscription
from common.broker.supervisor import Supervisor

__all__ = ["Connection", "Subscription", "Supervisor", "connect"]
