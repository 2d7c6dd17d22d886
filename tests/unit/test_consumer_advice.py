"""A user's function that decides: what it is asked, what it may answer, and what if it fails."""

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from common.deadletter import Reason
from common.history import History
from common.logs import configure
from consumer.attempt import Attempts
from consumer.failure import Cause, Failure
from consumer.outcome import Advice, Attempt, Dead, Done, Outcome, Release, RetryIn
from consumer.policy import SNOOZE_AT_MOST, advisable, decide, understood
from consumer.registry import build_registry, declarations_of
from consumer.retrying import RetryPolicy
from tidings import Event, handler
from tidings.testing import deliver

PLAIN = RetryPolicy(attempts=3, jitter="none", unrecoverable=(KeyError,))
RAISED = Failure(Cause.RAISED, types=(RuntimeError,))
FIRST = Attempt(number=1)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, in JSON."""
    before, out = structlog.get_config(), io.StringIO()
    configure(level="info", format_="json", service="test", stream=out)
    yield out
    structlog.configure(**before)


@pytest.mark.parametrize(
    ("attempt", "advice", "outcome"),
    [
        pytest.param(FIRST, None, RetryIn(1.0), id="None leaves it to the policy"),
        pytest.param(FIRST, Done(), Done(), id="it may call the event handled"),
        pytest.param(
            Attempt(number=3), Dead(Reason.REJECTED), Dead(Reason.REJECTED), id="or give it up"
        ),
        pytest.param(FIRST, RetryIn(7.0), RetryIn(7.0), id="or choose the delay"),
        pytest.param(
            Attempt(number=3),
            RetryIn(7.0),
            Dead(Reason.ATTEMPTS_SPENT),
            id="but no more attempts than the policy has",
        ),
        pytest.param(
            Attempt(number=2, age=60.0),
            RetryIn(7.0),
            Dead(Reason.TOO_OLD),
            id="and no greater age",
        ),
        pytest.param(
            Attempt(number=3),
            RetryIn(7.0, counted=False),
            RetryIn(7.0, counted=False),
            id="an uncounted retry is no attempt",
        ),
        pytest.param(
            FIRST,
            RetryIn(0.0, counted=False),
            RetryIn(1.0, counted=False),
            id="and takes a second at least, as Snooze does",
        ),
        pytest.param(
            Attempt(number=1, snoozed=SNOOZE_AT_MOST),
            RetryIn(7.0, counted=False),
            Dead(Reason.TOO_OLD),
            id="and ends after a day in all",
        ),
    ],
)
def test_a_users_function_decides_within_the_bounds_of_the_policy(
    attempt: Attempt, advice: Advice, outcome: Outcome
) -> None:
    policy = replace(PLAIN, max_age=60.0)

    assert decide(policy, attempt, RAISED, roll=0.0, advice=advice) == outcome


@pytest.mark.parametrize(
    ("failure", "asked"),
    [
        (RAISED, True),
        (Failure(Cause.RAISED, after=5.0), True),
        (Failure(Cause.RAISED, types=(KeyError,)), False),
        *((Failure(cause), False) for cause in Cause if cause is not Cause.RAISED),
    ],
)
def test_a_users_function_is_asked_about_errors_that_nothing_else_decides(
    failure: Failure, *, asked: bool
) -> None:
    assert advisable(PLAIN, failure) is asked


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (None, None),
        (Done(), Done()),
        (Dead(Reason.CONFLICT), Dead(Reason.CONFLICT)),
        (RetryIn(5, counted=False), RetryIn(5.0, counted=False)),
        (RetryIn("5m"), RetryIn(300.0)),  # type: ignore[arg-type] # understood all the same
    ],
)
def test_a_users_answer_is_understood(answer: object, advice: Advice) -> None:
    assert understood(answer) == advice


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (True, "answered with bool; answer with RetryIn"),
        ("dead", "answered with str"),
        (Release(), "answered with Release"),
        (Dead("why"), "answered with Dead"),  # type: ignore[arg-type] # wrong on purpose
        (RetryIn(-1.0), "is not a duration"),
        (RetryIn(float("nan")), "is not a duration"),
        (RetryIn(1e9), "no delay is longer"),
        (RetryIn(1.0, counted="no"), "answered with RetryIn"),  # type: ignore[arg-type] # as above
    ],
)
def test_a_users_answer_that_is_none_is_refused(answer: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        understood(answer)


ASKED: list[tuple[Attempt, Failure]] = []


def rules(attempt: Attempt, failure: Failure) -> Advice:
    """Do what the message of the error says; remember what was asked."""
    ASKED.append((attempt, failure))
    answers: dict[str, Advice] = {
        "swallow": Done(),
        "give up": Dead(Reason.CONFLICT),
        "wait": RetryIn(33.0),
        "wait uncounted": RetryIn(33.0, counted=False),
        "nonsense": "soon",  # type: ignore[dict-item] # wrong on purpose
    }
    if failure.message == "exit":
        raise SystemExit(1)
    return answers[failure.message]


async def endless(attempt: Attempt, failure: Failure) -> Advice:
    return Done()


class Sly:
    """Not async to look at, but what it returns is awaitable."""

    def __call__(self, attempt: Attempt, failure: Failure) -> Advice:
        return endless(attempt, failure)  # type: ignore[return-value] # wrong on purpose


@handler("order.created", retry=replace(PLAIN, decide=rules))
async def charge(event: Event) -> None:
    raise (KeyError if event.data == "lost" else RuntimeError)(event.data)


@handler("order.created", retry=replace(PLAIN, decide=Sly()))
async def charge_slyly() -> None:
    raise RuntimeError


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("swallow", Done()),
        ("give up", Dead(Reason.CONFLICT)),
        ("wait", RetryIn(33.0)),
        ("wait uncounted", RetryIn(33.0, counted=False)),
    ],
)
async def test_a_users_function_decides(said: str, outcome: Outcome) -> None:
    ASKED.clear()

    assert await deliver(charge, Event("order.created", said)) == outcome
    ((attempt, failure),) = ASKED
    assert (attempt.number, failure.error, failure.message) == (1, "RuntimeError", said)
    assert failure.types == (RuntimeError,)
    assert isinstance(failure.raised, RuntimeError)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("nonsense", "it answered with str"),
        ("a key that is not there", "KeyError"),
        ("exit", "SystemExit"),
    ],
)
async def test_where_a_users_function_fails_the_policy_decides_and_one_line_says_so(
    lines: io.StringIO, said: str, words: str
) -> None:
    assert await deliver(charge, Event("order.created", said)) == RetryIn(1.0)

    (line,) = lines.getvalue().splitlines()
    assert "decide_failed" in line
    assert "test_consumer_advice.py" in line
    assert words in line


async def test_a_function_that_answers_with_an_awaitable_is_not_awaited_for(
    lines: io.StringIO,
) -> None:
    assert await deliver(charge_slyly, Event("order.created")) == RetryIn(1.0)
    assert "it answered with coroutine" in lines.getvalue()


async def test_what_is_unrecoverable_is_not_asked_about() -> None:
    ASKED.clear()

    outcome = await deliver(charge, Event("order.created", "lost"))

    assert outcome == Dead(Reason.UNRECOVERABLE)
    assert ASKED == []


def test_an_uncounted_retry_leaves_the_count_and_adds_to_the_snoozed_time() -> None:
    event = Event("order.created", id="1", source="test")
    registry = build_registry(declarations_of(charge))
    attempts = Attempts(registry, "test", clock=lambda: 1000, dice=lambda: 0.0)
    failure = Failure(Cause.RAISED, message="wait uncounted", types=(RuntimeError,))
    before = History(attempts=1, first_failed_ms=500, waiting_since_ms=7, deaths=2)

    verdict = attempts.judged(failure, before, event, registry.handlers[0])

    assert verdict.outcome == RetryIn(33.0, counted=False)
    assert verdict.history == History(attempts=1, first_failed_ms=500, snoozed_ms=33_000)
