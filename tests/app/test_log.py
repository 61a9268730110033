"""Where events go."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from app.log import adopt_logging, configure, write_line
from app.server.gunicorn_log import GunicornLogger


class _File:
    """A file to log to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("ab")
        self.fd = self._stream.fileno()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._path.read_text().splitlines()]

    def close(self) -> None:
        self._stream.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[_File]:
    """A file, with the log's settings put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    file = _File(tmp_path / "log")
    yield file
    file.close()
    structlog.reset_defaults()
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
    root.setLevel(level)


def _shape(event: dict[str, Any]) -> dict[str, Any]:
    assert event.pop("time").endswith("Z")
    return event


def test_events_and_foreign_records_have_one_format(file: _File) -> None:
    """structlog's and logging's lines differ in nothing but the logger's name."""
    configure("info", "json", fd=file.fd)
    structlog.get_logger().info("member joined", node="n1")
    logging.getLogger("werkzeug").warning("odd %s", "thing")
    assert [_shape(each) for each in file.lines()] == [
        {"level": "info", "event": "member joined", "node": "n1"},
        {"level": "warning", "event": "odd thing", "logger": "werkzeug"},
    ]


def test_levels_below_the_one_set_are_silent(file: _File) -> None:
    """For both kinds of loggers."""
    configure("warning", "json", fd=file.fd)
    structlog.get_logger().info("no")
    logging.getLogger("werkzeug").info("no")
    structlog.get_logger().error("yes")
    assert [each["event"] for each in file.lines()] == ["yes"]


def test_chatty_libraries_are_kept_quiet(file: _File) -> None:
    """A connection pool's debug lines are no news of ours."""
    configure("debug", "json", fd=file.fd)
    logging.getLogger("urllib3.connectionpool").debug("no")
    logging.getLogger("urllib3.connectionpool").warning("yes")
    assert [each["event"] for each in file.lines()] == ["yes"]


def test_setting_up_again_replaces_and_reaches_loggers_in_use(file: _File) -> None:
    """The master's set-up is followed by the worker's: no line comes twice."""
    log = structlog.get_logger()
    with Path(os.devnull).open("w") as nowhere:
        configure("info", "json", fd=nowhere.fileno())
        log.info("before")
        adopt_logging("info", "json", fd=file.fd)
        configure("info", "json", fd=file.fd)
    log.info("after")
    logging.getLogger("x").warning("once")
    assert [each["event"] for each in file.lines()] == ["after", "once"]


def test_exceptions_are_in_the_event(file: _File) -> None:
    """As text, under `exception`."""
    configure("info", "json", fd=file.fd)
    try:
        raise ValueError("here")
    except ValueError:
        structlog.get_logger().exception("failed")
    (event,) = file.lines()
    assert event["exception"].endswith("ValueError: here")


def test_gunicorn_speaks_through_the_same_lines(file: _File) -> None:
    """Its own handlers and its access log are gone."""
    adopt_logging("info", "json", fd=file.fd)
    logger = GunicornLogger(cfg=None)
    logger.info("Booting worker with pid: %s", 7)
    logger.access_log.info("GET /")
    assert [_shape(each) for each in file.lines()] == [
        {"level": "info", "event": "Booting worker with pid: 7", "logger": "gunicorn.error"}
    ]


def test_lines_of_threads_do_not_mix(file: _File) -> None:
    """Each line is one write."""
    configure("info", "json", fd=file.fd)
    threads = [
        threading.Thread(
            target=lambda n=n: [structlog.get_logger().info("event", n=n, pad="x" * 200) for _ in range(20)]
        )
        for n in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(file.lines()) == 160


def test_a_reader_that_is_gone_is_no_error() -> None:
    """The program's own work goes on."""
    reader, writer = os.pipe()
    os.close(reader)
    write_line(writer, "lost")
    os.close(writer)
