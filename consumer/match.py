"""Topic patterns: which event types they match, and whether two of them can match the same. PURE.

As on a RabbitMQ topic exchange: words between dots, `*` is exactly one word, `#` any number.
"""

MAX_BYTES = 255


def pattern_problem(pattern: object) -> str | None:
    """Say what is wrong with a pattern, if anything is."""
    if not isinstance(pattern, str) or not pattern:
        return "the event type must be a non-empty string such as 'order.created'"
    if len(pattern.encode()) > MAX_BYTES:
        return f"the event type is longer than {MAX_BYTES} bytes"
    for word in pattern.split("."):
        if not word:
            return f"'{pattern}' has an empty word; write words with single dots between them"
        if word not in ("*", "#") and ("*" in word or "#" in word):
            return f"'{word}' in '{pattern}': a wildcard stands for whole words, as in 'order.*'"
        if any(c.isspace() or not c.isprintable() for c in word):
            return f"{pattern!r} holds white space or control characters"
    return None


def is_wildcard(pattern: str) -> bool:
    """Whether a pattern can match more than one type."""
    return "*" in pattern or "#" in pattern


def matches(pattern: str, type_: str) -> bool:
    """Whether the broker would route this event type to a queue bound with the pattern."""
    return _meet(tuple(pattern.split(".")), tuple(type_.split(".")), literal=True)


def overlap(one: str, other: str) -> bool:
    """Whether some event type is matched by both patterns."""
    return _meet(tuple(one.split(".")), tuple(other.split(".")), literal=False)


def _meet(one: tuple[str, ...], other: tuple[str, ...], *, literal: bool) -> bool:
    """Whether the two can be the same words. `literal`: the right one is a type without wildcards.

    A table over all pairs of prefixes, so that a long type with many `#` cannot cost exponentially.
    """
    row = [True] + [False] * len(other)
    for column, word in enumerate(other, start=1):
        row[column] = row[column - 1] and word == "#" and not literal
    for left in one:
        above, row = row, [left == "#" and row[0]]
        for column, right in enumerate(other, start=1):
            if left == "#":
                row.append(above[column] or row[column - 1])
            elif right == "#" and not literal:
                row.append(above[column] or row[column - 1] or above[column - 1])
            else:
                same = left in (right, "*") or (right == "*" and not literal)
                row.append(same and above[column - 1])
    return row[-1]
