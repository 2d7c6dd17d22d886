"""docs/handling.md: its table has a row for each test, and its examples are what is understood."""

import re
from pathlib import Path

from consumer.retry_text import policy_of
from consumer.retrying import RetryPolicy
from support.raising import ROWS
from tidings import Retry, Snooze

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "handling.md").read_text(encoding="utf-8")


def test_each_way_to_raise_in_the_table_is_tested_and_each_tested_one_is_in_the_table() -> None:
    table = PAGE.partition("| raised | what follows |\n| --- | --- |\n")[2].partition("\n\n")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()]

    assert rows == [row.said for row in ROWS]


def test_the_policies_of_the_environment_are_understood() -> None:
    texts = re.findall(r"TIDINGS_RETRY='([^']+)'", PAGE)

    assert len(texts) == 3
    assert [policy_of(text) for text in texts] == [
        RetryPolicy(),
        RetryPolicy.linear("5s", "5s"),
        RetryPolicy.delays("1s", "10s", "1m", jitter="full", max_age=6 * 3600),
    ]


def test_the_policies_of_handlers_are_understood() -> None:
    examples = PAGE.partition("RetryPolicy.exponential(")[2].partition("```")[0]
    names = {"RetryPolicy": RetryPolicy, "Retry": Retry, "Snooze": Snooze}
    texts = re.split(r"\n(?=RetryPolicy)", f"RetryPolicy.exponential({examples}")
    found: list[RetryPolicy] = [eval(text, dict(names)) for text in texts]  # our own page

    assert [policy.attempts for policy in found] == [10, 20, 10, 10]
    assert found[3].for_types((ConnectionResetError,)).attempts == 100
