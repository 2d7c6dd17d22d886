"""`--fault-table`: prints which fault is tested by what, on which broker, and how that went."""

from collections import defaultdict

import pytest

from faults.table import ANY_BROKER, FAULTS, Outcome, Row, rows

FAULT = "fault"
KIND = "broker"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option; `make faults` gives it."""
    parser.addoption(
        "--fault-table", action="store_true", help="print the table of faults, and fail by it"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the table where it is wanted."""
    if config.getoption("--fault-table") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_FaultTable(), "fault-table")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put numbers and broker into the report of each test: only that comes back from a worker."""
    known = {fault.number for fault in FAULTS}
    for item in items:
        numbers = [str(one) for mark in item.iter_markers(FAULT) for one in mark.args]
        if unknown := set(numbers) - known:
            raise pytest.UsageError(f"{item.nodeid}: no such fault in tests/faults: {unknown}")
        if numbers:
            params = getattr(getattr(item, "callspec", None), "params", {})
            item.user_properties += [(FAULT, number) for number in dict.fromkeys(numbers)]
            item.user_properties.append((KIND, str(params.get("broker_kind", ANY_BROKER))))


class _FaultTable:
    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}
        self._numbers: defaultdict[str, list[Outcome]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        facts = report.user_properties
        numbers = [str(value) for name, value in facts if name == FAULT]
        if not numbers:
            return
        outcome = self._outcomes.get(report.nodeid)
        if outcome is None:
            kind = next(str(value) for name, value in facts if name == KIND)
            outcome = self._outcomes[report.nodeid] = Outcome(_test_of(report.nodeid), kind)
            for number in numbers:
                self._numbers[number].append(outcome)
        outcome.failed |= report.failed
        outcome.passed |= report.when == "call" and report.passed

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.OK and any(row.problem for row in self._rows()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        table = self._rows()
        terminalreporter.section("faults")
        heads = "".join(f"{_short(kind):<9}" for kind in self._kinds())
        terminalreporter.write_line(f"{'':<5}{heads}what, and the tests of it")
        for row in table:
            results = "".join(f"{result:<9}" for result in row.results)
            line = f"{row.number:<5}{results}{row.what}"
            terminalreporter.write_line(line, red=bool(row.problem), bold=True)
            for test in row.tests:
                terminalreporter.write_line(f"{'':<{5 + 9 * len(row.results)}}  {test}")
        for row in table:
            if row.problem:
                terminalreporter.write_line(row.problem, red=True)

    def _kinds(self) -> list[str]:
        kinds = {one.kind for one in self._outcomes.values()} - {ANY_BROKER}
        return sorted(kinds, key=_version, reverse=True)

    def _rows(self) -> list[Row]:
        return rows(self._numbers, self._kinds() or ["no broker"])


def _test_of(nodeid: str) -> str:
    path, _, name = nodeid.rpartition("::")
    return f"{path.rpartition('/')[2]}: {name.partition('[')[0]}"


def _short(kind: str) -> str:
    return kind.removeprefix("rabbitmq-")


def _version(kind: str) -> list[int]:
    return [int(part) for part in _short(kind).split(".") if part.isdigit()]
