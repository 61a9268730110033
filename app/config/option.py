"""What a command-line option is: one description, from which the flag, its variable and its documentation come.

Knows no option by itself (`config.py` has the table) and neither click nor the process's environment: both are
handed in, so that a test, gunicorn's worker and the command line read their settings by the same code.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: What was given for each option's `name`: a text, several for a repeatable one, None or nothing when it was left out.
Given = Mapping[str, str | Sequence[str] | None]

VARIABLE_PREFIX = "RYKTE_"
_METADATA_KEY = "option"
# Kubernetes puts the variables of every Service of the namespace into each pod, those of one called `rykte…` too.
_OF_KUBERNETES = re.compile(r"_SERVICE_(?:HOST|PORT)(?:_.*)?$|_PORT(?:_[0-9]+_[A-Z]+(?:_(?:PROTO|PORT|ADDR))?)?$")


class ConfigError(Exception):
    """The settings can't be used; nothing was started. `mistakes` has one line for each, all of them."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class Option:
    """One setting. `parse` makes a value of one text or raises ValueError, whose words end a sentence on the text.

    `default` is written as an operator would write it; None means that the setting may stay unset, and
    `default_shown` says in words what then holds. `field` is the attribute that gets the value.
    """

    flag: str
    metavar: str
    parse: Callable[[str], Any]
    help: str
    group: str
    default: str | None = None
    default_shown: str = ""
    repeatable: bool = False
    is_switch: bool = False
    field: str = ""

    @property
    def name(self) -> str:
        """The flag as an identifier: `registry_addr`."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable: `RYKTE_REGISTRY_ADDR`."""
        return VARIABLE_PREFIX + self.name.upper()

    @property
    def shown_default(self) -> str:
        """The default for a reader."""
        return self.default_shown or (self.default if self.default else "empty")


def option(flag: str, metavar: str, parse: Callable[[str], Any], help: str, **more: Any) -> Any:  # noqa: A002 - click's word
    """A dataclass field that is an option. It has to be given a value: the default is `read`'s business."""
    return dataclasses.field(metadata={_METADATA_KEY: Option(flag, metavar, parse, help, **more)})


def options_of(configuration: type) -> tuple[Option, ...]:
    """The options of a dataclass, in the order in which they are written there."""
    return tuple(
        dataclasses.replace(field.metadata[_METADATA_KEY], field=field.name)
        for field in dataclasses.fields(configuration)
        if _METADATA_KEY in field.metadata
    )


def read(options: Iterable[Option], given: Given, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Values by field, and all mistakes as lines for the operator; a field with a mistake has no value.

    A flag beats its variable, as everywhere. An empty variable counts as unset, since templates write those; an
    empty flag is an empty value. A repeatable option's variable is split at white space (no name or pattern that
    makes sense here contains any).
    """
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for each in options:
        texts, source = _texts(each, given, environ)
        if texts is None:
            values[each.field] = _default_value(each)
            continue
        parsed = []
        for text in texts:
            try:
                parsed.append(each.parse(text))
            except ValueError as wrong:
                mistakes.append(f"{each.flag} {text!r}{source} {wrong}")
        if len(parsed) == len(texts):
            values[each.field] = tuple(parsed) if each.repeatable else parsed[0]
    return values, mistakes


def unknown_variables(options: Iterable[Option], environ: Mapping[str, str]) -> list[str]:
    """Variables that look like ours and are not: most often misspelt, so worth a warning."""
    known = {each.variable for each in options}
    return sorted(
        name
        for name in environ
        if name.startswith(VARIABLE_PREFIX) and name not in known and not _OF_KUBERNETES.search(name)
    )


def _texts(each: Option, given: Given, environ: Mapping[str, str]) -> tuple[Sequence[str] | None, str]:
    """The texts given for an option, None if there are none; and words that say where they come from."""
    value = given.get(each.name)
    if value is not None and not (each.repeatable and not value):
        return ([value] if isinstance(value, str) else list(value)), ""
    variable = environ.get(each.variable, "")
    if not variable:
        return None, ""
    return (variable.split() if each.repeatable else [variable]), f" (from the variable {each.variable})"


def _default_value(each: Option) -> Any:
    if each.repeatable:
        return ()
    return None if each.default is None else each.parse(each.default)
