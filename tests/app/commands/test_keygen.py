"""New keys."""

from app.commands.keygen import new_key
from app.gossip_keys.text import parse_keys


def test_a_new_key_is_a_line_of_a_key_file() -> None:
    """32 random bytes, another each time, in the file's own form."""
    first, second = parse_keys(f"{new_key()}\n{new_key()}")
    assert first != second
    assert repr(first) == "<Key of 32 bytes>"
