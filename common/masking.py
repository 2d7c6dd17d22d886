"""Secrets never appear: one function that every line about a URI goes through. PURE."""

from urllib.parse import urlsplit


def masked(uri: str) -> str:
    """Return the URI without its password and query: `amqp://user:***@host:5672/vhost`."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "?", parts.port
    except ValueError:
        return "(not a URI)"
    user = f"{parts.username}:***@" if parts.username else ""
    return f"{parts.scheme}://{user}{host}{f':{port}' if port else ''}{parts.path or '/'}"
