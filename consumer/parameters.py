"""A handler's parameters, by annotation: the payload, `Event`, `Context`, `Transaction`."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from common.errors import ConfigError
from common.event import Event
from consumer.context import Context
from consumer.failure import classify
from consumer.transaction import Transaction

Kind = Literal["event", "context", "payload"]


class InvalidPayload(Exception):
    """The event's data is not what the handler's annotation asks for."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How to make the arguments of a call from an event and its context."""

    kinds: tuple[tuple[str, Kind], ...]
    payload: TypeAdapter[Any] | None
    transaction: str | None = None
    """The name of the one that is a transaction: who begins it adds it to the arguments."""

    @property
    def asks_for_transaction(self) -> bool:
        """Whether one of them is a transaction."""
        return self.transaction is not None

    @property
    def ask_for_context(self) -> bool:
        """Whether one of them is the context."""
        return any(kind == "context" for _, kind in self.kinds)

    def arguments(self, event: Event, context: Context | None) -> dict[str, Any]:
        """Make the keyword arguments, except a transaction; the context where it is asked for.

        Raises InvalidPayload.
        """
        made: dict[str, Any] = {}
        for name, kind in self.kinds:
            if kind == "payload":
                made[name] = self._validated(event)
            elif kind == "event":
                made[name] = event
            else:
                made[name] = context
        return made

    def _validated(self, event: Event) -> Any:
        if self.payload is None:
            return event.data
        try:
            # What the adapter's own method does, without the 12 options that it passes on.
            return self.payload.validator.validate_python(event.data)
        except ValidationError as error:
            raise InvalidPayload(_problems(error)) from None
        except Exception as error:
            found = classify(error)  # its text is bounded there, and may be one that raises
            problem = f"its validator raised {found.error}: {found.message}"
            raise InvalidPayload(problem) from error


def read_parameters(function: Callable[..., Any], location: str) -> Parameters:
    """Read and check a handler's signature. Raises ConfigError with `location`."""
    try:
        hints = typing.get_type_hints(function)
    except Exception as error:  # noqa: BLE001 - evaluating annotations runs users' names
        raise ConfigError(
            f"{location}: an annotation of {function.__name__} cannot be read: {error}"
        ) from None
    kinds: list[tuple[str, Kind]] = []
    payload: TypeAdapter[Any] | None = None
    transaction: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        where = f"{location}: parameter '{parameter.name}' of {function.__name__}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigError(f"{where} is variable; name what the handler takes")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigError(f"{where} is positional-only; handlers are called by name")
        annotation = hints.get(parameter.name)
        if annotation is None:
            raise ConfigError(
                f"{where} has no annotation; write a model or dataclass, Event, Context, or "
                "Transaction"
            )
        if annotation is Event:
            kinds.append((parameter.name, "event"))
        elif annotation is Context:
            kinds.append((parameter.name, "context"))
        elif annotation is Transaction:
            if transaction is not None:
                raise ConfigError(f"{where} would be a second transaction; a run has one")
            transaction = parameter.name
        elif payload is not None:
            raise ConfigError(f"{where} would be a second payload; an event carries one")
        else:
            payload = _adapter(annotation, where)
            kinds.append((parameter.name, "payload"))
    return Parameters(tuple(kinds), payload, transaction)


def _adapter(annotation: Any, where: str) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation)
    except (PydanticUserError, TypeError, NameError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{where}: {annotation!r} cannot be validated ({reason}); use a pydantic model, "
            "a dataclass, or a type of plain JSON such as dict"
        ) from None


def _problems(error: ValidationError) -> str:
    """Say which fields are wrong; without the values, which may be secret."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{'.'.join(map(str, one['loc'])) or 'data'}: {one['msg']}" for one in found[:5]]
    more = f" (and {len(found) - 5} more)" if len(found) > 5 else ""  # noqa: PLR2004 - as many as shown
    return "; ".join(lines) + more
