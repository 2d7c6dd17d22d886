"""The table that `make faults` prints: what fails it."""

from faults.table import ANY_BROKER, FAULTS, Outcome, Row, rows

NEW, OLD = "rabbitmq-4.3", "rabbitmq-3.10"


def row(number: str, *outcomes: Outcome) -> Row:
    table = rows({number: outcomes} if outcomes else {}, [NEW, OLD])
    return next(one for one in table if one.number == number)


def test_a_row_lists_its_tests_and_how_they_went_on_each_broker() -> None:
    found = row("P6", Outcome("b", NEW, passed=True), Outcome("a", OLD, passed=True))

    assert (found.tests, found.results, found.problem) == (["a", "b"], ["passed", "passed"], "")


def test_a_row_without_a_test_fails_the_run() -> None:
    assert row("P6").problem == "P6 has no test"


def test_a_row_of_what_is_not_built_yet_is_no_problem() -> None:
    found = row("C27")

    assert (found.results, found.problem) == (["later", "later"], "")


def test_one_failure_fails_a_row_whatever_else_has_passed() -> None:
    outcomes = [Outcome(one, kind, passed=True) for one in "ab" for kind in (NEW, OLD)]
    outcomes[1].failed = True

    found = row("P6", *outcomes)

    assert (found.results, found.problem) == (["passed", "FAILED"], "P6 on rabbitmq-3.10: FAILED")


def test_what_is_skipped_or_not_run_on_a_broker_has_not_passed_there() -> None:
    found = row("P6", Outcome("a", NEW))

    assert found.results == ["skipped", "not run"]
    assert found.problem


def test_a_test_that_needs_no_broker_counts_for_each() -> None:
    assert row("P6", Outcome("a", ANY_BROKER, passed=True)).results == ["passed", "passed"]


def test_the_numbers_are_unique() -> None:
    numbers = [fault.number for fault in FAULTS]

    assert len(numbers) == len(set(numbers))
