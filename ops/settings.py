"""What the operating commands can be told; the same variables as the services'."""

from pydantic import Field, SecretStr

from common.settings import Settings


class OpsSettings(Settings):
    """Settings of `tidings dead`, `tidings unrouted` and the like."""

    group: str = Field(
        "event-consumer",
        pattern=r"^[A-Za-z0-9_.:-]{1,200}$",
        description="name of the group whose dead letters these are",
    )
    management_uri: SecretStr | None = Field(
        None,
        description="the management API, `http://user:password@host:15672`, for `tidings topology`",
    )
