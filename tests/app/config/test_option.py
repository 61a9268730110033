"""How options are read from flags and variables."""

from dataclasses import dataclass

from app.config.option import option, options_of, read, unknown_variables
from app.config.values import count


@dataclass(frozen=True)
class _Settings:
    limit: int = option("--limit", "N", count(0, 9), "A limit.", group="All", default="3")
    weights: tuple[int, ...] = option("--weight", "N", count(0, 9), "Weights.", group="All", repeatable=True)
    extra: int | None = option("--extra-value", "N", count(0, 9), "Extra.", group="All", default_shown="none")


_OPTIONS = options_of(_Settings)


def test_names_and_variables_come_from_the_flag() -> None:
    """One name is written, two are derived."""
    assert [(each.name, each.variable, each.field) for each in _OPTIONS] == [
        ("limit", "RYKTE_LIMIT", "limit"),
        ("weight", "RYKTE_WEIGHT", "weights"),
        ("extra_value", "RYKTE_EXTRA_VALUE", "extra"),
    ]


def test_defaults_hold_where_nothing_is_given() -> None:
    """Parsed like any text; None and () where there is none."""
    assert read(_OPTIONS, {}, {}) == ({"limit": 3, "weights": (), "extra": None}, [])


def test_a_flag_beats_its_variable() -> None:
    """Whatever the variable says, even nonsense."""
    values, mistakes = read(_OPTIONS, {"limit": "1", "weight": ["2"]}, {"RYKTE_LIMIT": "x", "RYKTE_WEIGHT": "3"})
    assert (values["limit"], values["weights"], mistakes) == (1, (2,), [])


def test_variables_are_read_and_split_where_repeatable() -> None:
    """At white space, line ends included."""
    values, mistakes = read(_OPTIONS, {"weight": ()}, {"RYKTE_LIMIT": "4", "RYKTE_WEIGHT": "1 2\n3"})
    assert (values["limit"], values["weights"], mistakes) == (4, (1, 2, 3), [])


def test_an_empty_variable_is_unset_and_an_empty_flag_is_not() -> None:
    """Templates write empty variables; whoever writes an empty flag means it."""
    assert read(_OPTIONS, {}, {"RYKTE_LIMIT": ""})[0]["limit"] == 3
    assert read(_OPTIONS, {"limit": ""}, {})[1] == ["--limit '' is no such number: write 0 to 9"]


def test_every_mistake_is_told_with_its_source() -> None:
    """Two in one repeatable option are two; a field with a mistake has no value."""
    values, mistakes = read(_OPTIONS, {"weight": ["x", "1", "y"]}, {"RYKTE_LIMIT": "99"})
    assert mistakes == [
        "--limit '99' (from the variable RYKTE_LIMIT) is no such number: write 0 to 9",
        "--weight 'x' is no such number: write 0 to 9",
        "--weight 'y' is no such number: write 0 to 9",
    ]
    assert values == {"extra": None}


def test_unknown_variables_are_noticed_but_not_those_of_kubernetes() -> None:
    """A Service called rykte or rykte-metrics puts its own variables into each pod."""
    environ = dict.fromkeys(
        (
            "RYKTE_LIMIT",
            "RYKTE_LIMTI",
            "RYKTE_GOSSIP_KEY_FILE",
            "PATH",
            "RYKTE_SERVICE_HOST",
            "RYKTE_SERVICE_PORT_REGISTRY",
            "RYKTE_PORT",
            "RYKTE_METRICS_PORT_9090_TCP",
            "RYKTE_PORT_5000_TCP_ADDR",
        ),
        "",
    )
    assert unknown_variables(_OPTIONS, environ) == ["RYKTE_GOSSIP_KEY_FILE", "RYKTE_LIMTI"]
