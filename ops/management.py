"""A virtual host through the management API, which alone shows arguments, bindings and counts."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from common.address import masked
from common.errors import AccessRefused, BrokerUnavailable, ConfigError
from common.topology import Binding
from ops.differences import Found, sorted_arguments

SECONDS = 10.0
NOT_FOUND = 404


class _NotThere(BrokerUnavailable):
    """What was asked for does not exist."""


class Management:
    """The management API at `uri`, for the virtual host of the AMQP URI."""

    def __init__(self, uri: str, amqp_uri: str) -> None:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "TIDINGS_MANAGEMENT_URI: must look like http://user:password@host:15672"
            )
        self._where = masked(uri)
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._credentials = base64.b64encode(account.encode()).decode()
        self._vhost = quote(unquote(urlsplit(amqp_uri).path[1:]) or "/", safe="")

    def found(self) -> Found:
        """Read everything. Raises BrokerUnavailable or AccessRefused."""
        major, minor, *_ = str(self._get("/overview")["rabbitmq_version"]).split(".")
        queues = self._get(f"/queues/{self._vhost}")
        return Found(
            version=(int(major), int(minor)),
            exchanges={
                str(one["name"]): (str(one["type"]), dict(one["arguments"]))
                for one in self._get(f"/exchanges/{self._vhost}")
            },
            queues={str(one["name"]): dict(one["arguments"]) for one in queues},
            consumer_timeouts={
                str(one["name"]): limit
                for one in queues
                if (limit := _consumer_timeout(one)) is not None
            },
            bindings=frozenset(
                _binding(one) for one in self._get(f"/bindings/{self._vhost}") if one["source"]
            ),
        )

    def messages(self) -> Mapping[str, int | None]:
        """Return what each queue holds, ready or in somebody's hands; None: not known yet.

        A statistic, so some seconds late. Raises BrokerUnavailable or AccessRefused.
        """
        listed = self._get(f"/queues/{self._vhost}")
        return {str(one["name"]): one.get("messages") for one in listed}

    def unbind(self, binding: Binding) -> None:
        """Remove a binding, if it is there. Raises BrokerUnavailable or AccessRefused."""
        kind = "e" if binding.to_exchange else "q"
        place = f"e/{quote(binding.exchange, safe='')}/{kind}/{quote(binding.queue, safe='')}"
        for one in self._get(f"/bindings/{self._vhost}/{place}"):
            if _binding(one) == sorted_arguments(binding):
                key = quote(str(one["properties_key"]), safe="")
                self._delete(f"/bindings/{self._vhost}/{place}/{key}")

    def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it, if it is there; raises as `unbind` does."""
        self._delete(f"/queues/{self._vhost}/{quote(name, safe='')}")

    def delete_exchange(self, name: str) -> None:
        """Delete an exchange with its bindings, if it is there; raises as `unbind` does."""
        self._delete(f"/exchanges/{self._vhost}/{quote(name, safe='')}")

    def _delete(self, path: str) -> None:
        with suppress(_NotThere):
            self._call("DELETE", path)

    def _get(self, path: str) -> Any:
        return json.loads(self._call("GET", path))

    def _call(self, method: str, path: str) -> bytes:
        request = Request(  # noqa: S310 - the scheme was checked above
            f"{self._base}/api{path}",
            method=method,
            headers={"Authorization": f"Basic {self._credentials}"},
        )
        try:
            with urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - as above
                body: bytes = response.read()
                return body
        except HTTPError as error:
            if error.code in (401, 403):
                raise AccessRefused(
                    f"TIDINGS_MANAGEMENT_URI: {self._where} refused this user; give it the tag "
                    "'monitoring' ('management' to prune or migrate) and rights on the virtual host"
                ) from None
            kind = _NotThere if error.code == NOT_FOUND else BrokerUnavailable
            raise kind(f"{self._where}: {method} {path}: {error}") from None
        except (URLError, TimeoutError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise BrokerUnavailable(f"{self._where} is not reachable: {reason}") from None


def _binding(one: dict[str, Any]) -> Binding:
    return sorted_arguments(
        Binding(
            str(one["source"]),
            str(one["destination"]),
            str(one["routing_key"]),
            tuple((one.get("arguments") or {}).items()),
            to_exchange=one["destination_type"] == "exchange",
        )
    )


def _consumer_timeout(queue: dict[str, Any]) -> float | None:
    """Return the seconds that a queue's own arguments and policies give its consumers."""
    own = (queue.get("arguments") or {}).get("x-consumer-timeout")
    policy = (queue.get("effective_policy_definition") or {}).get("consumer-timeout")
    return min((ms / 1000 for ms in (own, policy) if isinstance(ms, int)), default=None)
