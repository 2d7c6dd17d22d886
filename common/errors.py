"""The one error tree: each error says whose fault it is and what to do next.

Every class carries the process exit code of `sysexits.h` that a command ends with when the error
reaches the top, so that a supervisor (Kubernetes, systemd) can tell a wrong setting from an outage.
"""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_UNAVAILABLE = 69
EXIT_CONFIG = 78


class TidingsError(Exception):
    """Anything Tidings raises on purpose; its text is one line: what, where, and the remedy."""

    exit_code = EXIT_FAILED


def first_of(group: BaseExceptionGroup[TidingsError]) -> TidingsError:
    """Return the first error of a group, those of groups inside it too."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


class ConfigError(TidingsError):
    """A setting, a module or the topology is wrong; running again as it is cannot help."""

    exit_code = EXIT_CONFIG


class AccessRefused(ConfigError):
    """The broker answered and said no: user, password, virtual host, permission or certificate."""


class TopologyMismatch(ConfigError):
    """An exchange or queue exists with other arguments than Tidings needs, or is missing."""


class BrokerUnavailable(TidingsError):
    """The broker did not answer, or the connection to it was lost; try again later."""

    exit_code = EXIT_UNAVAILABLE


class InvalidEvent(TidingsError, ValueError):
    """The caller's event cannot be sent: an attribute, its data or its size is wrong."""


class PublishFailed(TidingsError):
    """`publish` gave the event up; the subclass says what is known about where it is."""


class Rejected(PublishFailed):
    """The broker refused to store the event (a full queue): it is in no or only some queues."""


class Unroutable(PublishFailed):
    """No queue is bound for the event and `events.unrouted` is gone: it is stored nowhere."""


class ConfirmUnknown(PublishFailed):
    """No answer came in time: the event may or may not be stored; publish the same id again."""


class OutboxFull(PublishFailed):
    """The bounded outbox has no room: the event was not accepted; wait and publish again."""
