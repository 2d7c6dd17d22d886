"""Where the broker is: a URI checked, put together from parts, shown without secrets. PURE.

User, password and virtual host are percent-encoded in a URI: `p@ss/word` is `p%40ss%2Fword`, the
virtual host `/shop` is `amqp://…/%2Fshop`, and the default one, `/`, is no path at all.
"""

from urllib.parse import parse_qs, quote, urlencode, urlsplit

FORM = "amqp://user:password@host:5672/vhost (or amqps://)"


def uri_problem(uri: str) -> str | None:
    """Say what is wrong with a URI, if anything is, without quoting it: it holds a password."""
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"must look like {FORM}; special characters in user and password are %-encoded"
    if parts.scheme not in ("amqp", "amqps") or not host:
        return f"must look like {FORM}; special characters in user and password are %-encoded"
    if "@" in parts.path + parts.query + parts.fragment:
        return (
            "has an @ after the host: write special characters of the password %-encoded (/ is %2F)"
        )
    if "," in host:
        return "must name one host; for a cluster, name its Service or load balancer"
    if "no_verify_ssl" in parse_qs(parts.query, keep_blank_values=True):
        return (
            "no_verify_ssl turns certificate checks off; name your CA with TIDINGS_TLS_CA instead"
        )
    return None


def assembled(
    *, host: str, port: int | None, user: str, password: str, vhost: str, tls: bool
) -> str:
    """Put a URI together from plain, unencoded parts."""
    scheme = "amqps" if tls else "amqp"
    where = f"[{host}]" if ":" in host else host
    path = "" if vhost == "/" else quote(vhost, safe="")
    account = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{account}@{where}{f':{port}' if port else ''}/{path}"


def with_certificates(uri: str, *, ca: str | None, cert: str | None, key: str | None) -> str:
    """Add the files that TLS needs: whom to trust, and who we are."""
    files = {"cafile": ca, "certfile": cert, "keyfile": key}
    named = {name: file for name, file in files.items() if file}
    if not named:
        return uri
    parts = urlsplit(uri)
    query = "&".join(filter(None, [parts.query, urlencode(named)]))
    return parts._replace(query=query).geturl()


def masked(uri: str) -> str:
    """Return the URI without its password and query: `amqp://user:***@host:5672/vhost`."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "?", parts.port
    except ValueError:
        return "(not a URI)"
    user = f"{parts.username}:***@" if parts.username else ""
    return f"{parts.scheme}://{user}{host}{f':{port}' if port else ''}{parts.path or '/'}"
