"""The least rights that each service needs, as regular expressions of `set_permissions`."""

import re
from dataclasses import dataclass

from common.topology import EVENTS

NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do in the virtual host."""

    who: str
    configure: str
    write: str
    read: str

    def command(self, vhost: str) -> str:
        """Return the command that gives them."""
        rights = " ".join(f"'{one}'" for one in (self.configure, self.write, self.read))
        return f"rabbitmqctl set_permissions -p '{vhost}' {self.who.upper()} {rights}"


def least_rights(group: str) -> tuple[Rights, ...]:
    """Return the rights of the producer, of the group's consumer, and of who makes the topology.

    The services start with `TIDINGS_TOPOLOGY=check`; with `declare`, the last ones are theirs.
    """
    mine = re.escape(group)
    all_of_it = rf"^({EVENTS}(\.(unrouted|delay\..*))?|{mine}(\..*)?)$"
    return (
        Rights(
            "producer",
            rf"^{EVENTS}\.lease\..*$",  # exclusive queues: which replica ticks
            rf"^{EVENTS}(\.delay\..*)?$",
            NOTHING,
        ),
        Rights(
            "consumer",
            rf"^{mine}\.(looking|sharing)$",  # exclusive queues: which replica looks, or takes
            rf"^{mine}\.(dead|suspects|begun|delay\..*)$",
            # Its queues, in whichever home; and to see that the group lives or moves elsewhere.
            rf"^{mine}(\.(suspects|begun|fifo|key[0-9]+(\..*)?|to-.*))?$",
        ),
        Rights("topology", all_of_it, all_of_it, all_of_it),
    )
