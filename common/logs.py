"""structlog set-up: JSON in containers, readable on a terminal, one place that decides which.

Keys are fixed (`event`, `level`, `ts`, `service`, then the facts); an event's body is never logged.
"""

import io
import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

Logger = FilteringBoundLogger

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIRST_KEYS = ("ts", "level", "event")
_OF_LINES = ("exception", "traceback", "stack")
"""Keys whose values are lines of our own making."""
MAX_TEXT = 2048
"""Longest value of a log line, in characters: what a sender wrote must not flood the log."""


_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Without local variables: they hold bodies and passwords."""


def configure(*, level: str, format_: str, service: str, stream: TextIO | None = None) -> None:
    """Set up logging for the process. `format_` is auto (a terminal: console; else json)."""
    out = stream or sys.stdout
    console = format_ == "console" or (format_ == "auto" and out.isatty())
    renderers: list[Any] = (
        [
            _one_line,
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(),
                pad_event_to=24,
                # Not the pretty ones: they show local variables, so bodies and passwords.
                exception_formatter=_traceback,
            ),
        ]
        if console
        else [_TRACEBACKS, _clipped, structlog.processors.JSONRenderer(_dumps)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="%H:%M:%S" if console else "iso", utc=not console, key="ts"
            ),
            _with_service(service),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _capture_libraries()


def get_logger(**facts: object) -> Logger:
    """Return a logger that says these facts on each of its lines.

    In a service, after `configure`. In a program of the user's that has not set structlog up, the
    lines go to the standard logger `tidings`, as any library's do.
    """
    logger: Logger
    if structlog.is_configured():
        logger = structlog.get_logger(**facts)
    else:
        logger = structlog.wrap_logger(
            logging.getLogger("tidings"),
            processors=_AS_A_LIBRARY,
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        ).bind(**facts)
    return logger


def says_debug() -> bool:
    """Whether lines at DEBUG are said. Who would say one for each event asks once, at its start."""
    if structlog.is_configured():
        return get_logger().is_enabled_for(logging.DEBUG)
    return logging.getLogger("tidings").isEnabledFor(logging.DEBUG)


_AS_A_LIBRARY: list[structlog.typing.Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.processors.format_exc_info,
    structlog.processors.KeyValueRenderer(key_order=["event"]),
]


def _capture_libraries() -> None:
    """aio-pika and aiormq tell of each lost connection in tracebacks; our supervisor says it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _with_service(service: str) -> structlog.typing.Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        # What a reader looks for stands first; the facts follow in the order they were said.
        return {**{key: event.pop(key) for key in _FIRST_KEYS}, "service": service, **event}

    return add


def _one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep what a sender wrote from drawing on the terminal: no control characters."""
    for key, value in event.items():
        if isinstance(value, str) and key not in _OF_LINES:
            clean = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value[:MAX_TEXT])
            event[key] = clean
    return event


def _traceback(out: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Write a traceback as it is, but for what a stream in UTF-8 refuses."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    out.write(_in_utf_8(text.getvalue()))


def _clipped(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep what a sender wrote from flooding the log."""
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            event[key] = value[:MAX_TEXT] + "…"
    return event


def _dumps(value: object, **_: object) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, as in what a sender wrote that is not UTF-8
        return orjson.dumps(
            _in_utf_8(value), default=ascii, option=orjson.OPT_NON_STR_KEYS
        ).decode()


def _in_utf_8(value: Any) -> Any:
    """Return a value of a line with an escape for all that UTF-8 cannot say."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_in_utf_8(key): _in_utf_8(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_in_utf_8(one) for one in value]
    return value
