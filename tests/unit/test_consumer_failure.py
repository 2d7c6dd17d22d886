"""What an exception of a handler means, whatever it does when it is looked at."""

from collections.abc import Callable

import pytest

from common.deadletter import TEXT_BYTES, TRACEBACK_BYTES
from consumer.failure import Cause, Failure, classify
from tidings import Reject, Retry, Snooze


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I will not say")


@pytest.mark.parametrize(
    ("error", "cause", "name"),
    [
        (ValueError("x"), Cause.RAISED, "ValueError"),
        (Retry(after="1m"), Cause.RAISED, "Retry"),
        (Snooze(for_=5), Cause.SNOOZED, "Snooze"),
        (Reject("no"), Cause.REJECTED, "Reject"),
        (SystemExit(1), Cause.RAISED, "SystemExit"),
        (KeyboardInterrupt(), Cause.RAISED, "KeyboardInterrupt"),
        (RecursionError("deep"), Cause.RAISED, "RecursionError"),
        (MemoryError(), Cause.RAISED, "MemoryError"),
        (_Mute(), Cause.RAISED, "_Mute"),
        (ExceptionGroup("g", [ValueError("x"), Reject("no")]), Cause.REJECTED, "Reject"),
        (ExceptionGroup("g", [ValueError("x"), Retry(after=3)]), Cause.RAISED, "Retry"),
        (ExceptionGroup("g", [Snooze(for_=5), ValueError("x")]), Cause.RAISED, "ValueError"),
        (ExceptionGroup("g", [ExceptionGroup("h", [Snooze(for_=5)])]), Cause.SNOOZED, "Snooze"),
        (BaseExceptionGroup("g", [SystemExit(1)]), Cause.RAISED, "SystemExit"),
    ],
)
def test_classifies_whatever_a_handler_raises(
    error: BaseException, cause: Cause, name: str
) -> None:
    failure = classify(error)

    assert (failure.cause, failure.error) == (cause, name)


def test_the_times_of_retry_and_snooze_are_kept() -> None:
    assert classify(Retry(after="1m")).after == 60.0
    assert classify(Snooze(for_="2h")).after == 7200.0
    assert classify(Retry("later")).after is None


def test_the_text_of_an_error_is_bounded() -> None:
    failure = classify(ValueError("x" * 10_000_000))

    assert len(failure.message.encode()) <= TEXT_BYTES
    assert len(failure.traceback.encode()) <= TRACEBACK_BYTES


def test_the_traceback_says_where_it_was_raised() -> None:
    def charge() -> None:
        raise ValueError("card declined")

    failure = _classified(charge)

    assert "in charge" in failure.traceback
    assert "card declined" in failure.traceback


def _classified(function: Callable[[], None]) -> Failure:
    try:
        function()
    except ValueError as error:
        return classify(error)
    raise AssertionError("it raised nothing")


def test_types_are_those_of_all_errors_in_order_without_the_exits() -> None:
    inner = ExceptionGroup("h", [KeyError("a"), ValueError("x"), KeyError("b")])

    failure = classify(ExceptionGroup("g", [Retry(), inner, OSError()]))

    assert failure.types == (KeyError, ValueError, OSError)


def test_a_group_may_lie_deeper_than_the_stack() -> None:
    error: Exception = Reject("at the bottom")
    for _ in range(5000):
        error = ExceptionGroup("g", [error])

    failure = classify(error)

    assert (failure.cause, failure.message) == (Cause.REJECTED, "at the bottom")
    assert failure.traceback


class _Leaving(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class _Unprintable(Exception):
    def __getattribute__(self, name: str) -> object:
        if name == "__notes__":
            raise KeyboardInterrupt
        return super().__getattribute__(name)


def test_an_exception_that_ends_the_process_when_it_is_looked_at_does_not() -> None:
    leaving, unprintable = classify(_Leaving()), classify(_Unprintable("x"))

    assert leaving.message == "(its text cannot be had: SystemExit)"
    assert (unprintable.message, unprintable.traceback) == ("x", "(no traceback can be had)")


class _Hasty(Retry):
    def __init__(self) -> None:
        """Without its parent's."""


class _Tired(Snooze):
    for_ = "2h"  # type: ignore[assignment] # understood all the same

    def __init__(self) -> None:
        """Without its parent's."""


class _Lost(_Hasty):
    after = "soon"  # type: ignore[assignment] # wrong on purpose


def test_exits_whose_subclass_forgets_its_parent_are_understood() -> None:
    assert (classify(_Hasty()).cause, classify(_Hasty()).after) == (Cause.RAISED, None)
    assert (classify(_Tired()).cause, classify(_Tired()).after) == (Cause.SNOOZED, 7200.0)
    assert classify(_Lost()).after is None
