"""docs/options.md from the table of options: `python -m app.config.document > docs/options.md`."""

from collections.abc import Iterator
from itertools import groupby

from app.config.config import Config
from app.config.option import Option, options_of

_HEAD = """\
# Options of `rykte serve`

<!-- Made by `python -m app.config.document > docs/options.md` from app/config/config.py: edit there. -->

Each option is a flag, an environment variable and, in the chart, a value. A flag beats its variable. An empty variable
counts as unset. Options that may be given repeatedly take several values in their variable, separated by white space.
All mistakes are told at once, and nothing is started then (exit code 2).

- Durations have units: `20ms`, `1.5s`, `1m30s`.
- Addresses to listen at are `HOST:PORT` with an IP address, `[::1]:PORT` for IPv6, or `:PORT` for all interfaces.
- Switches are written `--resolve-tags`, `--resolve-tags=false` or `--no-resolve-tags`.
- Expressions are Python's.
"""


def document() -> str:
    """The whole page."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for group, options in groupby(options_of(Config), key=lambda each: each.group):
        yield f"## {group}\n"
        yield from map(_entry, options)


def _entry(each: Option) -> str:
    repeated = ", may be given repeatedly" if each.repeatable else ""
    default = f"`{each.default}`" if each.default else each.shown_default
    origin = f"Variable `{each.variable}`, default: {default}{repeated}."
    return f"### `{each.flag} {each.metavar}`\n\n{origin}\n\n{each.help}\n"


if __name__ == "__main__":
    print(document(), end="")
