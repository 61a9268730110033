"""`rykte serve`: the command line to a `Config`, and the server with it.

This runs in gunicorn's master, which stays light: nothing of the node (Flask, grpc, structlog) is imported before the
fork. `_load` is called in the worker.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from app.config.config import Config
from app.config.option import ConfigError, Option, options_of, unknown_variables

if TYPE_CHECKING:
    from app.server.worker import Application

_NEGATION = "no_"
# Variables of other commands: see `cli.py`.
_ELSEWHERE = frozenset({"RYKTE_API"})

log = logging.getLogger("rykte")


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a click command all options of the table, as texts: they are parsed together, so that all mistakes show."""
    for each in reversed(options_of(Config)):
        command = _click_option(each)(command)
    return command


def run(given: dict[str, Any]) -> int:
    """Serve until told to stop; the exit code. Raises `click.ClickException` for settings that can't be used."""
    try:
        config = Config.from_options(_with_negations(given), os.environ)
    except ConfigError as refused:
        raise SettingsRefused(refused) from refused
    # Here and not above: `--help` and a mistake in the settings should not wait for gunicorn and gevent.
    from app.log import adopt_logging
    from app.server.master import serve

    adopt_logging(config.log_level, config.log_format)
    for name in unknown_variables(options_of(Config), os.environ):
        if name not in _ELSEWHERE:
            log.warning("the variable %s is no option of this version and has no effect: see rykte serve --help", name)
    return serve(config, partial(_load, config))


class SettingsRefused(click.ClickException):
    """All mistakes, one a line."""

    exit_code = 2

    def __init__(self, refused: ConfigError) -> None:
        lines = refused.mistakes
        head = "this setting can't be used:" if len(lines) == 1 else f"these {len(lines)} settings can't be used:"
        super().__init__("\n  ".join((head, *lines)))


def _load(config: Config) -> "Application":
    """Build the node, in the worker: everything is imported here, after gevent's patch and before any thread."""
    from app.log import configure

    configure(config.log_level, config.log_format)
    from wsgi import build

    return build(config)


def _click_option(each: Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    shown = f"{each.help.replace('`', '')}  [default: {each.shown_default.replace('`', '')}]"
    if each.is_switch:
        positive = click.option(each.flag, is_flag=False, flag_value="true", metavar=f"[{each.metavar}]", help=shown)
        negative = click.option(f"--no-{each.flag.removeprefix('--')}", is_flag=True, help=f"As {each.flag} false.")
        return lambda command: positive(negative(command))
    if each.repeatable:
        return click.option(each.flag, multiple=True, metavar=each.metavar, help=f"{shown} May be given repeatedly.")
    return click.option(each.flag, metavar=each.metavar, help=shown)


def _with_negations(given: dict[str, Any]) -> dict[str, Any]:
    """Fold `--no-x` into `x`; it beats a variable, and `--x` beside it is the same mistake in any order."""
    merged = {name: value for name, value in given.items() if not name.startswith(_NEGATION)}
    for name, negated in given.items():
        if name.startswith(_NEGATION) and negated:
            positive = name.removeprefix(_NEGATION)
            flag = positive.replace("_", "-")
            if merged.get(positive) is not None:
                raise click.UsageError(f"--{flag} and --no-{flag} contradict each other: give one of them")
            merged[positive] = "false"
    return merged
