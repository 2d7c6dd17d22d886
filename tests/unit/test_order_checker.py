"""The checker of `make order`: each violation in a journal made for it, and each thing allowed."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import order.backlog
import order.checker
import order.history
from order.backlog import BacklogRules, check_backlog
from order.checker import Report, Rules, check
from order.history import NEVER, SECOND, History, Loss, Published, Run, read_history

FIFO = Rules("fifo", window=10)
KEY = Rules("key", window=10)
SKIP = Rules("fifo", "skip", window=10)
ANY = Rules("any")


def sent(count: int, *keys: str) -> tuple[Published, ...]:
    """Events, published one each second from 0 on; their keys take turns."""
    keys = keys or ("k",)
    return tuple(
        Published(n, f"e{n}", keys[n % len(keys)], 0, n * SECOND, n * SECOND + 1)
        for n in range(count)
    )


def run(number: int, start: float, close: float, how: str = "end", **other: int | str) -> Run:
    """A run of an event in process 1, between seconds after 1000."""
    begin, end = (int((1000 + at) * SECOND) for at in (start, close))
    one = Run(1, f"e{number}", "k", number, 1, 0, begin, end, how)
    return replace(one, **other)  # type: ignore[arg-type]


def loss(begin: float, end: float, process: int = 0, kind: str = "cut") -> Loss:
    return Loss(kind, int((1000 + begin) * SECOND), int((1000 + end) * SECOND), process)


def report(rules: Rules, *runs: Run, losses: tuple[Loss, ...] = (), dead: str = "") -> Report:
    """What is found in these runs of as many events as there are."""
    count = 1 + max(one.number for one in runs)
    published = sent(count, *sorted({one.key for one in runs}))
    ordered = tuple(sorted(runs, key=lambda one: one.start))
    return check(History(published, ordered, losses, frozenset(dead.split())), rules)


@pytest.mark.parametrize("rules", [FIFO, KEY, SKIP, ANY])
def test_events_one_after_the_other_are_in_order(rules: Rules) -> None:
    found = report(rules, run(0, 0, 1), run(1, 1, 2), run(2, 2, 3))

    assert not found.violations
    assert not found.allowed


def test_a_retry_and_a_dead_letter_are_in_order_where_those_behind_wait() -> None:
    found = report(
        FIFO,
        *(run(0, 0, 1, "raise"), run(0, 2, 3, attempt=2), run(1, 3, 4, "reject"), run(2, 5, 6)),
        dead="e1",
    )
    assert not found.violations


@pytest.mark.parametrize("rules", [FIFO, KEY, SKIP, ANY])
def test_what_was_confirmed_and_never_handled_is_lost(rules: Rules) -> None:
    history = History(sent(2), (run(0, 0, 1),))
    assert "lost" in check(history, rules).kinds

    unsure = (sent(2)[0], replace(sent(2)[1], stored=NEVER))
    assert not check(replace(history, published=unsure), rules).violations


def test_what_is_rejected_must_lie_among_the_dead_letters() -> None:
    assert report(ANY, run(0, 0, 1, "reject")).kinds == {"lost"}


def test_a_dead_letter_that_no_handler_asked_for_is_a_violation() -> None:
    assert report(ANY, run(0, 0, 1, "raise"), dead="e0").kinds == {"given up"}


def test_what_was_never_published_is_unexpected() -> None:
    history = History(sent(1), (run(0, 0, 1), run(1, 1, 2)), dead=frozenset({"e2"}))
    found = [one.id for one in check(history, FIFO).violations if one.kind == "unexpected"]
    assert sorted(found) == ["e1", "e2"]


def test_an_event_that_is_not_what_was_published_is_altered() -> None:
    assert report(ANY, run(0, 0, 1, priority=3)).kinds == {"altered"}


def test_a_run_without_end_and_death_is_unfinished() -> None:
    hangs = replace(run(0, 0, 1), close=NEVER, how="open")
    assert report(ANY, hangs, run(0, 2, 3)).kinds == {"unfinished"}


@pytest.mark.parametrize("rules", [FIFO, KEY, SKIP])
def test_a_later_event_before_an_earlier_one_is_out_of_order(rules: Rules) -> None:
    found = report(rules, run(1, 0, 1), run(0, 1, 2), run(2, 2, 3))
    assert {"order", "backwards"} == found.kinds
    assert [one.id for one in found.violations if one.kind == "order"] == ["e0"]


def test_a_later_event_in_another_process_is_out_of_order_too() -> None:
    assert report(FIFO, run(1, 0, 1, process=2), run(0, 1, 2)).kinds == {"order"}


def test_no_order_is_asked_of_any() -> None:
    assert not report(ANY, run(1, 0, 3), run(0, 1, 2)).violations


def test_keys_do_not_wait_for_each_other() -> None:
    runs = (run(1, 0, 3, key="b"), run(0, 1, 2, key="a"))
    assert not report(KEY, *runs).violations
    assert report(FIFO, *runs).kinds == {"order", "backwards", "overlap"}


def test_a_retry_that_others_have_passed_is_allowed_with_skip_alone() -> None:
    runs = (run(0, 0, 1, "raise"), run(1, 1, 2), run(0, 3, 4, attempt=2), run(2, 4, 5))
    assert not report(SKIP, *runs).violations
    assert report(FIFO, *runs).kinds == {"order", "backwards"}


def test_with_skip_the_first_attempts_are_in_order() -> None:
    runs = (run(1, 0, 1), run(0, 1, 2, "raise"), run(0, 3, 4, attempt=2))
    assert report(SKIP, *runs).kinds == {"order", "backwards"}


def test_two_at_once_in_one_process_overlap_and_no_loss_excuses_it() -> None:
    runs = (run(0, 0, 2), run(1, 1, 3))
    assert "overlap" in report(FIFO, *runs).kinds
    twice = (run(0, 0, 2), run(0, 1, 3))
    assert report(FIFO, *twice, losses=(loss(0.5, 0.6),)).kinds == {"overlap"}


def test_two_at_once_in_two_processes_overlap_unless_connections_were_lost_between() -> None:
    runs = (run(0, 0, 4), run(0, 1, 2, process=2), run(1, 2, 3, process=2))

    assert report(FIFO, *runs).kinds == {"overlap"}
    assert report(FIFO, *runs, losses=(loss(5, 6),)).kinds == {"overlap"}
    assert report(FIFO, *runs, losses=(loss(0.5, 0.6, 1, "kill"),)).kinds == {"overlap"}
    cut = report(FIFO, *runs, losses=(loss(0.5, 0.6),))
    assert not cut.violations
    assert cut.allowed["overlaps of a lost connection"] == 2


def test_an_old_loss_excuses_no_overlap() -> None:
    runs = (run(0, 20, 24), run(0, 21, 22, process=2))
    assert report(FIFO, *runs, losses=(loss(0, 1),)).kinds == {"overlap"}


def test_the_death_of_a_process_ends_its_run() -> None:
    runs = (run(0, 0, 1, "died"), run(0, 2, 3, process=2))
    assert not report(FIFO, *runs, losses=(loss(1, 1.5, 1, "kill"),)).violations


REPEATED = (
    *(run(0, 0, 1), run(1, 1, 2), run(0, 3, 4, process=2)),
    *(run(1, 4, 5, process=2), run(2, 5, 6, process=2)),
)


def test_a_repetition_in_order_after_a_loss_is_allowed() -> None:
    for lost in (loss(2, 2.5, 1, "kill"), loss(2, 2.5), loss(2, 2.5, kind="restart")):
        found = report(FIFO, *REPEATED, losses=(lost,))
        assert not found.violations
        assert found.allowed["repetitions"] == 2


@pytest.mark.parametrize("rules", [FIFO, KEY, SKIP, ANY])
def test_a_repetition_after_no_loss_is_a_violation(rules: Rules) -> None:
    assert report(rules, *REPEATED).kinds == {"repeated"}
    assert report(rules, *REPEATED, losses=(loss(7, 8),)).kinds == {"repeated"}


def test_the_death_of_another_process_explains_no_repetition() -> None:
    assert report(FIFO, *REPEATED, losses=(loss(2, 2.5, 3, "kill"),)).kinds == {"repeated"}


def test_a_repetition_in_disorder_is_a_violation() -> None:
    runs = (
        *(run(0, 0, 1), run(1, 1, 2), run(1, 3, 4, process=2)),
        *(run(0, 4, 5, process=2), run(2, 5, 6, process=2)),
    )
    assert report(FIFO, *runs, losses=(loss(2, 2.5, 1, "kill"),)).kinds == {"backwards"}


def test_a_repetition_of_what_was_settled_long_ago_is_a_violation() -> None:
    runs = [run(number, number, number + 1) for number in range(12)]
    killed = loss(12, 12.5, 1, "kill")

    again = [run(number, number + 12, number + 13, process=2) for number in range(2, 12)]
    assert report(FIFO, *runs, *again, losses=(killed,)).kinds == set()
    again = [run(number, number + 13, number + 14, process=2) for number in range(1, 12)]
    assert report(FIFO, *runs, *again, losses=(killed,)).kinds == {"too far back"}


def test_an_event_that_may_be_stored_twice_may_be_repeated() -> None:
    published = replace(sent(1)[0], stored=10 * SECOND)
    runs = (run(0, 0, 1), run(0, 3, 4, process=2))

    def cut_of(begin: int, end: int) -> Loss:
        return Loss("cut", begin * SECOND, end * SECOND)

    assert not check(History((published,), runs, (cut_of(5, 6),)), FIFO).violations
    assert check(History((published,), runs, (cut_of(11, 12),)), FIFO).kinds == {"repeated"}

    second = replace(sent(2)[1], stored=10 * SECOND)
    again = (run(0, 0, 1), run(1, 2, 3, process=2), run(0, 4, 5, process=2))
    assert not check(History((published, second), again, (cut_of(5, 6),)), FIFO).violations


def test_the_copy_of_a_retry_may_come_long_after_the_loss_with_skip() -> None:
    runs = (
        run(0, 0, 1, "raise"),
        run(0, 2, 3, "raise", process=2),
        run(0, 20, 21, attempt=2, process=2),
        run(0, 22, 23, attempt=2, process=2),
    )
    assert not report(SKIP, *runs, losses=(loss(1, 1.5),)).violations
    assert report(SKIP, *runs).kinds == {"repeated"}


def backlog(mode: str, *numbers: int, priorities: str = "0000", each: float = 1.0) -> set[str]:
    """The kinds of violations when these are handled, each so many seconds; three are in hand."""
    published = tuple(
        replace(one, priority=int(priority))
        for one, priority in zip(sent(len(priorities)), priorities, strict=True)
    )
    runs = tuple(
        run(number, at * each, (at + 1) * each, priority=int(priorities[number]))
        for at, number in enumerate(numbers)
    )
    found = check_backlog(History(published, runs), BacklogRules(mode, window=3))
    return {one.kind for one in found}


def test_of_a_backlog_lifo_starts_the_newest_in_hand() -> None:
    """The first start is of what came first, nothing else was in hand; 3 comes after an end."""
    assert not backlog("lifo", 0, 2, 3, 1)
    assert not backlog("lifo", 2, 3, 1, 0)
    assert backlog("lifo", 0, 1, 3, 2) == {"not the newest"}
    assert backlog("lifo", 0, 2, 1, 3) == {"not the newest"}
    assert not backlog("lifo", 0, 1, 2, 3, each=0.02), "too fast to know what was in hand"


def test_of_a_backlog_lifo_may_start_the_oldest_after_its_longest_wait() -> None:
    assert not backlog("lifo", 2, 0, 3, 1, each=61)
    assert backlog("lifo", 2, 0, 3, 1, each=59) == {"not the newest"}


def test_of_a_backlog_priority_starts_the_highest_in_hand() -> None:
    assert not backlog("priority", 0, 2, 3, 1, priorities="0199")
    assert backlog("priority", 0, 2, 1, 3, priorities="0199") == {"not the highest"}
    assert backlog("priority", 0, 2, 1, 3) == {"behind a lower one"}
    assert backlog("priority", 1, 0, 2, 3, priorities="9000") == {"behind a lower one"}


def test_of_a_backlog_a_lower_one_may_be_before_a_higher_one_that_came_later() -> None:
    assert not backlog("priority", 0, 1, 2, 3, priorities="0003", each=5)
    assert backlog("priority", 0, 1, 2, 3, priorities="0006", each=5) == {"not the highest"}


def test_of_a_backlog_nothing_is_handled_twice() -> None:
    assert backlog("lifo", 0, 0, 3, 2, 1) == {"repeated"}


def test_journals_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "published.journal").write_text("begun 0 10 k 3\nstored 0 20\nbegun 1 30 k 0\n")
    (tmp_path / "handled-7.journal").write_text(
        "start 40 7 e0 k 0 1 3\nraise 50 7 e0 k 0 1 3\nstart 60 7 e0 k 0 2 3\n"
        "start 70 7 e1 k 1 1 0\nend 90 7 e1 k 1 1 0\n"
    )
    (tmp_path / "losses.journal").write_text("kill 80 100 7\ncut 110 120 -\n")
    (tmp_path / "dead.journal").write_text("e1 rejected\n")

    assert read_history(tmp_path) == History(
        (Published(0, "e0", "k", 3, 10, 20), Published(1, "e1", "k", 0, 30, NEVER)),
        (
            Run(7, "e0", "k", 0, 1, 3, 40, 50, "raise"),
            Run(7, "e0", "k", 0, 2, 3, 60, 90, "died"),
            Run(7, "e1", "k", 1, 1, 0, 70, 90, "end"),
        ),
        (Loss("kill", 80, 100, 7), Loss("cut", 110, 120)),
        frozenset({"e1"}),
    )


def test_the_checker_shares_no_code_with_what_it_checks() -> None:
    allowed = {"ast", "collections", "dataclasses", "heapq", "itertools", "pathlib"}
    ours = {"order.history", "order.checker"}
    for module in (order.checker, order.backlog, order.history):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module in ours or str(node.module).partition(".")[0] in allowed
            if isinstance(node, ast.Import):
                assert {one.name for one in node.names} <= allowed
