"""How an event is written."""

import json
import logging
import sys

import pytest

from app.log_lines import console_line, event_of, iso_time, json_line

_EVENT = {"node": "a b", "level": "info", "time": "2026-01-02T03:04:05.678Z", "event": "member joined", "port": 7946}


def _record(message: object, *args: object, level: int = logging.WARNING, exc_info: object = None) -> logging.LogRecord:
    record = logging.LogRecord("some.part", level, "f.py", 1, message, args, exc_info)  # type: ignore[arg-type]
    record.created = 1767323045.678
    return record


def test_json_has_time_level_and_event_first() -> None:
    """A reader finds its way without a tool."""
    assert json_line(_EVENT) == (
        '{"time": "2026-01-02T03:04:05.678Z", "level": "info", "event": "member joined", "node": "a b", "port": 7946}'
    )


@pytest.mark.parametrize("text", ["a\nb", "a\r\x1b[31m", 'quo"te', "\u2028", "\ud800", "é"])
def test_json_is_one_line_whatever_is_logged(text: str) -> None:
    """Names come from other machines: none may forge a line."""
    line = json_line({"event": text, "level": "info", "time": ""})
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == text


def test_json_writes_unknown_values_as_text() -> None:
    """A path or an exception is no reason to lose the event."""
    assert json.loads(json_line({"event": "e", "error": ValueError("x")}))["error"] == "x"


def test_console_shows_time_level_words_and_pairs() -> None:
    """Values that need it are quoted."""
    assert console_line(_EVENT) == '03:04:05.678 info    member joined                node="a b" port=7946'


def test_console_quotes_control_characters() -> None:
    """In words and in values."""
    line = console_line({"event": "a\nb", "level": "info", "time": "2026-01-02T03:04:05.678Z", "name": "\x1b[31m"})
    assert line.isprintable()


def test_console_puts_a_traceback_below() -> None:
    """As it stands."""
    line = console_line({**_EVENT, "exception": "Traceback\n  here"})
    assert line.splitlines()[1:] == ["Traceback", "  here"]


def test_colours_are_only_for_terminals() -> None:
    """Off unless asked for."""
    assert "\x1b" in console_line(_EVENT, colours=True)
    assert "\x1b" not in console_line(_EVENT)


def test_a_logging_record_becomes_an_event() -> None:
    """With the name of its logger."""
    assert event_of(_record("x %s", 1)) == {
        "time": "2026-01-02T03:04:05.678Z",
        "level": "warning",
        "event": "x 1",
        "logger": "some.part",
    }


def test_a_record_whose_arguments_do_not_fit_is_still_shown() -> None:
    """A fault in a log call hides nothing."""
    assert event_of(_record("x %d", "one"))["event"] == "x %d ('one',)"


def test_an_exception_comes_with_its_traceback() -> None:
    """Under `exception`, as structlog has it."""
    try:
        raise ValueError("here")
    except ValueError:
        event = event_of(_record("failed", exc_info=sys.exc_info()))
    assert event["exception"].endswith("ValueError: here")


def test_times_are_utc_with_milliseconds() -> None:
    """The machine's zone does not matter."""
    assert iso_time(0.0625) == "1970-01-01T00:00:00.062Z"
