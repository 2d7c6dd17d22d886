"""Texts for a terminal: what a sender wrote must not draw on it, ring it or reorder it. PURE."""

import json
from datetime import UTC, datetime

MAX_BODY = 64 * 1024
"""Longest body that is shown to a person, in characters; `--json` has all of it."""


def harmless(text: str) -> str:
    """Return the text in one line, with everything that is not printable written as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def harmless_lines(text: str) -> str:
    """Return the text with its lines and tabs kept, and nothing else that is not printable."""
    return "\n".join(harmless(line.expandtabs(4)) for line in text.split("\n"))


def moment(milliseconds: int) -> str | None:
    """Write milliseconds since the epoch as RFC 3339 in UTC; None for 0 and for what is no time."""
    if not milliseconds:
        return None
    try:
        # In whole milliseconds: a float of seconds would show .122 for .123.
        whole = datetime.fromtimestamp(milliseconds // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    time = whole.replace(microsecond=milliseconds % 1000 * 1000)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def readable_body(body: bytes) -> tuple[str, str]:
    """Return what kind of body it is, and the body as lines that a terminal may show."""
    size = f"{len(body)} byte{'' if len(body) == 1 else 's'}"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"{size}, not UTF-8", _cut(harmless(body.decode("latin-1")))
    try:
        pretty = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return f"{size}, not JSON", _cut(harmless_lines(text))
    return f"{size}, JSON", _cut(harmless_lines(pretty))


def _cut(text: str) -> str:
    if len(text) <= MAX_BODY:
        return text
    return f"{text[:MAX_BODY]}\n… {len(text) - MAX_BODY} characters more; --json has all of it"
