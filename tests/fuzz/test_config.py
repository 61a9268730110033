"""Whatever is written into flags and variables: a `Config`, or a `ConfigError` whose lines name the flags."""

from hypothesis import given
from hypothesis import strategies as st

from app.config.config import Config
from app.config.option import ConfigError, Option, options_of

_OPTIONS = options_of(Config)
_FLAGS = tuple(each.flag for each in _OPTIONS)
_SIGNS = tuple("|:[],.-/(*0é٣\0\n ")
_WORDS = ("", "5000", "65536", "127.0.0.1", "::1", "fe80::1%lo", "1s", "ms", "docker.io", "static", "layout", "true")
_PIECES = st.sampled_from((*_SIGNS, *_WORDS, "{1,99999999999}", "a" * 300))
_TEXT = st.one_of(st.lists(_PIECES, max_size=4).map("".join), st.text(max_size=20))
_GIVEN = st.fixed_dictionaries(
    {}, optional={each.name: st.lists(_TEXT, max_size=3) if each.repeatable else _TEXT for each in _OPTIONS}
)
_ENVIRON = st.fixed_dictionaries({}, optional={each.variable: _TEXT for each in _OPTIONS})


@given(_GIVEN, _ENVIRON)
def test_any_text_is_read_or_refused_by_name(given_: dict[str, str | list[str]], environ: dict[str, str]) -> None:
    """No other error, and no line that leaves the operator guessing."""
    try:
        config = Config.from_options(given_, environ, host_name=lambda: "n", route_address=lambda: "10.0.0.1")
    except ConfigError as error:
        unnamed = [line for line in error.mistakes if not line.startswith(_FLAGS)]
        assert not unnamed and error.mistakes, unnamed  # noqa: PT017, PT018 - either outcome is right here
    else:
        assert all(0 < port < 65536 for _, port in (config.registry_addr, config.metrics_addr, config.gossip_addr))
        assert config.resolve_timeout_s <= config.probe_deadline_s


@given(st.sampled_from(_OPTIONS), _TEXT)
def test_each_parser_alone_returns_or_raises_value_error(option: Option, text: str) -> None:
    """So that one odd value can't hide the others' mistakes."""
    try:
        option.parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either outcome is right here
