"""Setting up the log: structlog's events and foreign `logging` records, in one format, on one descriptor.

Each event is one write of one whole line, so that lines of several threads and processes never mix; there is no
lock, since a lock held over a switch between two gevent hubs is an error. A reader that does not keep up makes
the writer wait, as with any log on stderr; a reader that is gone makes it silent.
"""

import logging
import os
import time
from collections.abc import MutableMapping
from functools import partial
from typing import Any

from app.log_lines import Renderer, console_line, event_of, iso_time, json_line

STDERR_FD = 2
# Foreign loggers say at "info" what is of use only when they are searched for faults.
_QUIET = {"urllib3": logging.WARNING, "grpc": logging.WARNING, "asyncio": logging.WARNING}


def configure(level: str, style: str, *, fd: int = STDERR_FD) -> None:
    """Set up structlog and `logging`; may be called again. `level` and `style` are values of the two log options."""
    # Imported here: the server's master uses `adopt_logging` alone, and structlog takes as long to load as all the rest
    # of the master.
    import structlog

    adopt_logging(level, style, fd=fd)
    render = _renderer(style, fd)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_time,
            structlog.processors.format_exc_info,
            lambda _logger, _method, event: render(event),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=lambda *_: _Lines(fd),
        # Not cached: a module's logger may have been used before this call, and has to follow it.
        cache_logger_on_first_use=False,
    )


def adopt_logging(level: str, style: str, *, fd: int = STDERR_FD) -> None:
    """Send every `logging` record (gunicorn's, werkzeug's, …) to the same lines. Needs no structlog."""
    handler = _LineHandler(fd, _renderer(style, fd))
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old, _LineHandler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_number(level))
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, _number(level)))


def write_line(fd: int, line: str) -> None:
    """Write a whole line at once; what a vanished or full reader does not take is dropped."""
    data = f"{line}\n".encode(errors="backslashreplace")
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        pass  # there is nowhere left to complain to


class _Lines:
    """structlog's innermost logger: every level is a line. The level itself is in the event already."""

    def __init__(self, fd: int) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.msg = partial(write_line, fd)


class _LineHandler(logging.Handler):
    def __init__(self, fd: int, render: Renderer) -> None:
        super().__init__()
        self._fd = fd
        self._render = render

    def handle(self, record: logging.LogRecord) -> bool:
        """As the base class's, without its lock: one write needs none, and it would be shared by two hubs."""
        passed = bool(self.filter(record))
        if passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        write_line(self._fd, self._render(event_of(record)))


def _renderer(style: str, fd: int) -> Renderer:
    on_terminal = os.isatty(fd)
    if style == "console" or (style == "auto" and on_terminal):
        return partial(console_line, colours=on_terminal)
    return json_line


def _add_time(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["time"] = iso_time(time.time())
    return event


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
