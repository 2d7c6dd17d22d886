"""Durations as people write them: `5s`, `1m30s`, `250ms`, or a plain number of seconds. PURE."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def seconds(value: str | float) -> float:
    """Return the duration in seconds. Raises ValueError, with the forms that work, for others."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 <= value < float("inf"):
            return float(value)
    else:
        text = str(value).strip().lower()
        if _NUMBER.fullmatch(text):
            return float(text)
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(float(number) * _UNITS[unit] for number, unit in parts)
    message = f"'{value}' is not a duration; write seconds (30) or 500ms, 5s, 10m, 2h, 1m30s"
    raise ValueError(message)


def readable(value: float) -> str:
    """Write seconds as people do: `1h`, `2m30s`, `0.5s`."""
    if value < 60 or value != int(value):  # noqa: PLR2004 - a minute
        return f"{value:g}s"
    whole = int(value)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)
