"""`tidings healthcheck`: ask a service on this host whether it is alive, or ready.

For a container's HEALTHCHECK, started every few seconds: plain sockets, nothing heavy imported.
"""

import os
import socket
from argparse import Namespace

DEFAULT_PORT = 8080
SECONDS = 3.0
MAX_ANSWER = 64 * 1024


def healthcheck(options: Namespace) -> int:
    """Print what the service says of itself; return 0 when it is well, 1 when it is not."""
    wanted = os.environ.get("TIDINGS_PROBES_PORT") or str(DEFAULT_PORT)
    path = "/readyz" if options.ready else "/livez"
    try:
        status, body = _get(int(wanted), path)
    except ValueError:
        print(f"TIDINGS_PROBES_PORT: '{wanted}' is not a port")
        return 1
    except (OSError, OverflowError) as error:
        print(f"127.0.0.1:{wanted}{path}: {getattr(error, 'strerror', None) or error}")
        return 1
    print(body.strip() or f"status {status}")
    return 0 if status == 200 else 1  # noqa: PLR2004 - HTTP's OK; http.client is heavy


def _get(port: int, path: str) -> tuple[int, str]:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(request.encode())
        answer = b""
        while len(answer) < MAX_ANSWER and (part := connection.recv(4096)):
            answer += part
    head, _, body = answer.decode("utf-8", "replace").partition("\r\n\r\n")
    words = head.split(" ", 2)
    if len(words) < 2 or not words[1].isdecimal():  # noqa: PLR2004 - HTTP/1.1 200
        raise OSError("what listens there does not speak HTTP")
    return int(words[1]), body
