"""Settings that both services have, and how every setting is read.

One environment variable each: `TIDINGS_` + the setting's name, and `AMQP_URI` as it is. With
`_FILE` appended the variable names a file that holds the value. Every problem becomes one line:
variable, problem, remedy. Only the `settings` modules read the environment.
"""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from common.address import FORM, assembled, uri_problem, with_certificates
from common.duration import seconds
from common.envelope import MAX_EVENT_BYTES
from common.errors import ConfigError

PREFIX = "TIDINGS_"
KNOWN_VARIABLES = frozenset(
    PREFIX + name
    for name in (
        "AMQP_HOST",
        "AMQP_PASSWORD",
        "AMQP_PORT",
        "AMQP_USER",
        "AMQP_VHOST",
        "ATTEMPTS",
        "CONCURRENCY",
        "CONSUMER_TIMEOUT",
        "DATA",
        "DRAIN_TIMEOUT",
        "GROUP",
        "HANDLER_TIMEOUT",
        "INBOX",
        "INBOX_BYTES",
        "INBOX_KEEP",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "LOOP_BLOCKED",
        "MANAGEMENT_URI",
        "MAX_AGE",
        "MAX_EVENT_BYTES",
        "MODULES",
        "NO_HANDLER_FOR",
        "ORDER",
        "ORDER_ON_RETRY",
        "OUTBOX",
        "OUTBOX_BYTES",
        "OUTBOX_SIZE",
        "PARTITIONS",
        "PROBES_PORT",
        "RETRY",
        "SOURCE",
        "TLS_CA",
        "TLS_CERT",
        "TLS_KEY",
        "TOPOLOGY",
        "WINDOW",
    )
)
"""Every variable that some service knows; they may share one ConfigMap. A test holds it true."""

_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)|_PORT$")
"""What Kubernetes injects for a Service whose name begins with `tidings`."""


def _checked_uri(uri: SecretStr) -> SecretStr:
    if problem := uri_problem(uri.get_secret_value()):
        raise ValueError(problem)
    return uri


def _file(path: str) -> str:
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def _names(value: object) -> object:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


Certificate = Annotated[str, AfterValidator(_file)]
Duration = Annotated[float, BeforeValidator(seconds)]


class Settings(BaseSettings):
    """What the producer and the consumer both can be told."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        hide_input_in_errors=True,
        frozen=True,
        extra="ignore",
    )

    amqp_uri: Annotated[SecretStr, AfterValidator(_checked_uri)] | None = Field(
        None,
        validation_alias="AMQP_URI",
        description="the broker, `amqp://user:password@host:5672/vhost`, `@` written as `%40`",
    )
    amqp_host: str | None = Field(
        None, description="instead of AMQP_URI: the broker's host; then the next four are read too"
    )
    amqp_port: int | None = Field(
        None, gt=0, le=65535, description="its port; by default 5672, and 5671 with TLS"
    )
    amqp_user: str = Field("guest", description="the user, plain text, not %-encoded")
    amqp_password: SecretStr = Field(SecretStr("guest"), description="the password, plain text")
    amqp_vhost: str = Field("/", description="the virtual host, plain text")
    tls_ca: Certificate | None = Field(
        None, description="file of the CA to trust; with TIDINGS_AMQP_HOST it turns TLS on"
    )
    tls_cert: Certificate | None = Field(None, description="file of our client certificate")
    tls_key: Certificate | None = Field(None, description="file of its private key")
    modules: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = Field(
        (), description="Python modules with your handlers or sources, separated by commas"
    )
    topology: Literal["declare", "check"] = Field(
        "declare", description="`declare` creates what is missing, `check` only verifies"
    )
    max_event_bytes: int = Field(
        MAX_EVENT_BYTES, gt=0, description="largest body that is sent, or parsed on arrival"
    )
    drain_timeout: Duration = Field(
        35.0, gt=0, description="how long a stop waits for what runs or is unsent"
    )
    probes_port: int = Field(
        8080, ge=0, le=65535, description="port of /livez, /readyz and /metrics; 0: any free one"
    )
    loop_blocked: Duration = Field(
        10.0, gt=0, description="a blocked event loop is logged after so long, with its stack"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="`debug` says a line for each event"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: readable on a terminal, JSON elsewhere"
    )

    @property
    def uri(self) -> str:
        """The broker's URI with its password: for connecting, never for a line of text."""
        if self.amqp_uri is not None:
            uri = self.amqp_uri.get_secret_value()
        else:
            uri = assembled(
                host=self.amqp_host or "",
                port=self.amqp_port,
                user=self.amqp_user,
                password=self.amqp_password.get_secret_value(),
                vhost=self.amqp_vhost,
                tls=bool(self.tls_ca or self.tls_cert),
            )
        return with_certificates(uri, ca=self.tls_ca, cert=self.tls_cert, key=self.tls_key)

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        """Refuse no address, two of them, and certificates for a plain connection."""
        if self.amqp_uri is None and self.amqp_host is None:
            raise ValueError(f"AMQP_URI is not set: the broker, {FORM}")
        if self.amqp_uri is not None and self.amqp_host is not None:
            raise ValueError("AMQP_URI and TIDINGS_AMQP_HOST are both set: keep one of them")
        plain = self.amqp_uri is not None and self.uri.startswith("amqp:")
        if plain and (self.tls_ca or self.tls_cert):
            raise ValueError(
                "AMQP_URI is amqp://, which has no TLS: write amqps://, or unset TIDINGS_TLS_CA"
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("TIDINGS_TLS_CERT and TIDINGS_TLS_KEY belong together: set both")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is given
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is given
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over variables, variables over files named by variables."""
        return init_settings, env_settings, _FileSource(settings_cls)


class _FileSource(PydanticBaseSettingsSource):
    """`NAME_FILE=/run/secrets/x`: the file's content is the value of NAME."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Read the file that the field's variable names."""
        variable = variable_of(field_name, field)
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            return None, field_name, False
        try:
            value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            message = f"{variable}_FILE: cannot read {path}: {reason}"
            raise ConfigError(message) from None
        return value, str(field.validation_alias or field_name), False

    def __call__(self) -> dict[str, Any]:
        """Collect the values of all fields whose variable names a file."""
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                found[key] = value
        return found


def variable_of(name: str, field: FieldInfo) -> str:
    """Name the environment variable of a setting."""
    return str(field.validation_alias) if field.validation_alias else PREFIX + name.upper()


S = TypeVar("S", bound=Settings)


def load(kind: type[S], **given: Any) -> S:
    """Read the settings. Raises ConfigError with a line per problem."""
    problems = list(_unknown_variables(os.environ))
    values = {
        (str(kind.model_fields[name].validation_alias or name)): value
        for name, value in given.items()
        if value is not None
    }
    if "AMQP_URI" in values:
        values["amqp_host"] = None  # an argument wins over a variable
    try:
        settings = kind(**values)
    except ValidationError as error:
        problems += [_line(kind, entry) for entry in error.errors(include_input=False)]
    else:
        if not problems:
            return settings
    raise ConfigError("\n".join(problems))


def probes_port_is_chosen() -> bool:
    """Whether somebody set the port on purpose; then a taken port is an error."""
    return any(os.environ.get(f"{PREFIX}PROBES_PORT{suffix}") for suffix in ("", "_FILE"))


def _line(kind: type[Settings], problem: Any) -> str:
    if not problem["loc"]:  # about several settings; the text names them
        return str(problem["msg"]).removeprefix("Value error, ")
    key = str(problem["loc"][0])
    field = kind.model_fields.get(key)
    name = key if field is None else variable_of(key, field)
    hint = next(
        (f.description for n, f in kind.model_fields.items() if variable_of(n, f) == name), ""
    )
    text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {text[0].lower()}{text[1:]} ({hint})"


def _unknown_variables(names: Iterable[str]) -> Iterable[str]:
    for name in sorted(names):
        plain = name.removesuffix("_FILE")
        if not name.startswith(PREFIX) or plain in KNOWN_VARIABLES or _SERVICE_LINK.search(name):
            continue
        known = [variable.removeprefix(PREFIX) for variable in KNOWN_VARIABLES]
        near = get_close_matches(plain.removeprefix(PREFIX), known, n=1)
        remedy = f"did you mean {PREFIX}{near[0]}?" if near else "unset it"
        yield f"{name} is no setting of Tidings; {remedy}"
