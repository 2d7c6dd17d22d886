"""Names for one test."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """Makes names that no other test uses: names("orders") is another one than anybody else's."""

    suffix: str

    def __call__(self, name: str) -> str:
        """Return the name made unique."""
        return f"{name}-{self.suffix}"

    @property
    def group(self) -> str:
        """The name of a consumer group, and so of its queue."""
        return self("group")
