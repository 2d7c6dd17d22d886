"""Whether an inbox is fit for the handlers that are there: asked at the start."""

from common.duration import readable
from common.errors import ConfigError
from consumer.inbox.home import file_of
from consumer.registry import Registry


def refuse_unfit(registry: Registry, *, home: str, keep: float) -> None:
    """Raise ConfigError, with a line per problem."""
    problems = (no_transactions(registry, home=home), too_short(registry, home=home, keep=keep))
    if lines := [one for one in problems if one is not None]:
        raise ConfigError("\n".join(lines))


def no_transactions(registry: Registry, *, home: str) -> str | None:
    """Name the first handler that asks for a transaction where there can be none."""
    if file_of(home) is not None:
        return None
    asking = next((one for one in registry.handlers if one.parameters.transaction), None)
    if asking is None:
        return None
    return (
        f"{asking.location}: @handler('{asking.pattern}') asks for a Transaction, and "
        f"TIDINGS_INBOX is `{home}`, which has none; set TIDINGS_INBOX=sqlite:///path/of/inbox.db, "
        "or TIDINGS_DATA to a folder"
    )


def too_short(registry: Registry, *, home: str, keep: float) -> str | None:
    """Name the handler whose retries outlast what an inbox on disk remembers."""
    longest = max(registry.handlers, key=lambda one: one.span, default=None)
    if file_of(home) is None or longest is None or longest.span < keep:
        return None
    return (
        f"TIDINGS_INBOX_KEEP: {readable(keep)} is not longer than the {_whole(longest.span)} for "
        f"which @handler('{longest.pattern}') at {longest.location} tries an event again; set it "
        "longer, or the attempts fewer"
    )


def _whole(span: float) -> str:
    """Write a long time without its fractions."""
    return readable(float(round(span)))
