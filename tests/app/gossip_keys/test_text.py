"""The text of a key file: keys in order, and mistakes that name their line and show no key."""

import pytest

from app.gossip_keys.text import parse_keys
from gossip.wire.keyring import MAX_KEYS, Key

FIRST, SECOND, SHORT = Key(b"1" * 32), Key(b"2" * 24), Key(b"3" * 16)


def test_one_key_a_line() -> None:
    """Order counts; blank lines, comments, and space around a key don't."""
    text = f"# sealing since May\n\n  {FIRST.text()}  # new\n\t\n{SECOND.text()}\r\n#{SHORT.text()}\n{SHORT.text()}"
    assert parse_keys(text) == (FIRST, SECOND, SHORT)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no key"),
        ("\n# nothing yet\n", "holds no key"),
        (f"{FIRST.text()}\n\nsecret!", "line 3: a key is written in base64"),
        (f"# a\n{FIRST.text()[:20]}", "line 2: a key has 16, 24 or 32 bytes, this one 15"),
        (f'["{FIRST.text()}"]', "line 1: a key is written in base64"),
        (f"{FIRST.text()} {SECOND.text()}", "line 1: a key is written in base64"),
        ("\n".join(Key(bytes((number,)) * 16).text() for number in range(MAX_KEYS + 1)), "17 keys, at most 16"),
    ],
)
def test_mistakes(text: str, complaint: str) -> None:
    """What is no list of keys is refused with its line and a remedy, and the error shows nothing of it."""
    with pytest.raises(ValueError, match=complaint) as refused:
        parse_keys(text)
    shown = str(refused.value)
    assert "rykte keygen" in shown or "drop" in shown
    assert not any(word in shown for word in text.split() if len(word) > 6)
