"""Logs: JSON for machines, lines for people; what a sender wrote cannot draw on the terminal."""

import io
import json

import pytest
import structlog

from common.logs import configure, get_logger, says_debug


@pytest.fixture(autouse=True)
def _restore() -> object:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def said(
    format_: str, level: str = "info"
) -> tuple[structlog.typing.FilteringBoundLogger, io.StringIO]:
    out = io.StringIO()
    configure(level=level, format_=format_, service="consumer", stream=out)
    return get_logger(), out


def test_json_has_what_a_reader_looks_for_first() -> None:
    log, out = said("auto")
    log.info("event_handled", event_id="7", attempt=1)

    line = json.loads(out.getvalue())
    assert list(line)[:4] == ["ts", "level", "event", "service"]
    assert (line["event"], line["service"], line["event_id"]) == ("event_handled", "consumer", "7")


def test_a_level_below_the_chosen_one_is_silent() -> None:
    log, out = said("json", level="warning")
    log.info("event_handled")

    assert out.getvalue() == ""


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\ud800", "x" * 100_000, "\u202etxt"])
def test_what_a_sender_wrote_stays_on_one_line_and_never_raises(format_: str, text: str) -> None:
    log, out = said(format_)
    log.info("event_retried", message=text)

    lines = out.getvalue().encode(errors="surrogatepass").decode(errors="replace").splitlines()
    assert len(lines) == 1
    assert "\x1b[31m" not in lines[0]


def test_an_object_that_is_not_json_is_said_as_text() -> None:
    log, out = said("json")
    log.info("x", what=object(), keys={1: 2})

    assert "object object" in json.loads(out.getvalue())["what"]


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_shows_no_local_variables(format_: str) -> None:
    """They hold bodies and passwords."""
    log, out = said(format_)

    def fail(secret: str) -> None:
        raise ValueError(f"about {len(secret)} characters")

    secret = "s3ntinel"
    try:
        fail(secret)
    except ValueError:
        log.exception("failed")

    assert "about 8 characters" in out.getvalue()
    assert "s3ntinel" not in out.getvalue()


@pytest.mark.parametrize(("level", "said_"), [("debug", True), ("info", False)])
def test_who_would_say_a_line_for_each_event_can_ask_first(level: str, *, said_: bool) -> None:
    said("json", level=level)

    assert says_debug() is said_


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_stack_stays_lines(format_: str) -> None:
    log, out = said(format_)
    stack = '  File "shop.py", line 7, in charge\n    time.sleep(60)'
    log.error("loop_blocked", stack=stack)

    text = out.getvalue()
    assert (json.loads(text)["stack"] if format_ == "json" else text).count(stack) == 1
