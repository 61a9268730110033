"""Invariant: whatever stands in a key file, the parser returns keys or raises ValueError, and shows nothing of it."""

from hypothesis import example, given
from hypothesis import strategies as st

from app.gossip_keys.text import parse_keys
from gossip.wire.keyring import MAX_KEYS, Key

SECRETS = st.sampled_from((16, 24, 32)).flatmap(lambda size: st.binary(min_size=size, max_size=size))
LINES = st.text(max_size=60) | st.text("ABCabc019+/=", min_size=8, max_size=60) | SECRETS.map(lambda it: Key(it).text())


@given(st.lists(LINES, max_size=6))
@example(["A" * 42 + "\ud800"])
def test_any_text_is_keys_or_a_value_error_that_shows_no_line(lines: list[str]) -> None:
    """A mistake in a file of secrets must not end in a log with the secret."""
    told = ""
    try:
        keys = parse_keys("\n".join(lines))
    except ValueError as error:
        told = str(error)
    assert told or 1 <= len(keys) <= len(lines)
    assert not any(line in told for line in lines if len(line) > 16)


@given(st.lists(SECRETS, min_size=1, max_size=MAX_KEYS), st.sampled_from(("\n", "\r\n", "\n\n", " # why\n")))
def test_what_is_written_is_read(secrets: list[bytes], separator: str) -> None:
    """Keys come back in their order, whatever stands between them."""
    keys = tuple(map(Key, secrets))
    assert parse_keys(separator.join(key.text() for key in keys)) == keys
