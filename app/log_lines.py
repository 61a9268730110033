"""One event -> one line, as JSON or for a person. Pure, and of the standard library alone.

The server's master process logs before structlog is loaded, and gunicorn and others log by `logging`: all of them
become the same event here, so that a log has one format whoever wrote the line.
"""

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

#: Makes the line of an event, without its end.
Renderer = Callable[[Mapping[str, Any]], str]

_FIRST = ("time", "level", "event")
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_PLAIN = "\x1b[0m"
_EVENT_WIDTH = 28
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@+[],")


def json_line(event: Mapping[str, Any]) -> str:
    """An object whose first members are time, level and event; what JSON has no word for is written as text."""
    return json.dumps(_ordered(event), default=str, ensure_ascii=False).replace("\u2028", "\\u2028")


def console_line(event: Mapping[str, Any], *, colours: bool = False) -> str:
    """Time of day, level, words and `key=value`; a traceback follows on lines of its own."""
    ordered = _ordered(event)
    at, level, words = str(ordered.pop("time")), str(ordered.pop("level")), str(ordered.pop("event"))
    trace = ordered.pop("exception", None)
    mark = f"{level:<7}"
    if colours:
        mark = f"{_COLOURS.get(level, '')}{mark}{_PLAIN}"
    pairs = " ".join(f"{key}={_shown(value)}" for key, value in ordered.items())
    line = f"{at[11:23]} {mark} {_printable(words):<{_EVENT_WIDTH if pairs else 0}} {pairs}".rstrip()
    return line if trace is None else f"{line}\n{trace}"


def event_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a `logging` record says, as an event. A message that can't be formatted is shown as it is."""
    try:
        words = record.getMessage()
    except (TypeError, ValueError, KeyError):
        words = f"{record.msg} {record.args!r}"
    event: dict[str, Any] = {
        "time": iso_time(record.created),
        "level": record.levelname.lower(),
        "event": words,
        "logger": record.name,
    }
    if record.exc_info and record.exc_info[0] is not None:
        event["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return event


def iso_time(at: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ordered(event: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in event.items() if key not in _FIRST}
    return {key: event.get(key, "") for key in _FIRST} | rest


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if text and _BARE.issuperset(text) else json.dumps(text, ensure_ascii=False)


def _printable(text: str) -> str:
    return text if text.isprintable() else json.dumps(text, ensure_ascii=False)
