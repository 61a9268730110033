"""Keys and their ring: Serf's rules, and nothing that shows a key."""

import pytest

from gossip.errors import UsageError
from gossip.wire.keyring import MAX_KEYS, Key, Keyring

A, B, C, D = (Key(bytes((number,)) * 32) for number in range(1, 5))


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_key_and_its_text(size: int) -> None:
    """All three sizes of AES go, and a key is written in base64 as Serf writes it."""
    key = Key(bytes(range(size)))
    assert Key.parse(key.text()) == key
    assert len({key, Key(bytes(range(size)))}) == 1
    assert key != Key(bytes(size))


def test_the_text_is_plain_base64() -> None:
    """What `serf keygen` and `rykte keygen` print."""
    assert Key.parse("AAECAwQFBgcICQoLDA0ODw==").text() == "AAECAwQFBgcICQoLDA0ODw=="


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "this one 0"),
        ("AAECAwQ=", "this one 5"),
        ("AAECAwQFBgcICQoLDA0ODw", "base64"),
        ("AAECAwQFBgcICQoLDA0ODw== ", "base64"),
        ("c2VjcmV0-_secret", "base64"),
        ("schlüssel", "base64"),
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(text: str, complaint: str) -> None:
    """The error says what is wrong and what to do; the text might be half a key."""
    with pytest.raises(UsageError, match=complaint) as refused:
        Key.parse(text)
    assert "rykte keygen" in str(refused.value)
    assert not text.strip() or text.strip() not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_key_does_not_show() -> None:
    """Neither a key nor a ring tells its bytes when somebody prints it."""
    for shown in (repr(A), str(A), f"{[A]}", repr(Keyring([A]))):
        assert A.text() not in shown
        assert "\\x01" not in shown


def test_the_first_seals() -> None:
    """A ring keeps its order, once each."""
    ring = Keyring([B, A, B])
    assert ring.primary == B
    assert ring.keys == (B, A)


def test_adding() -> None:
    """A new key comes last; one that is there changes nothing, not even its place."""
    ring = Keyring([A])
    ring.add(B)
    ring.add(A)
    ring.add(B)
    assert ring.keys == (A, B)


def test_using() -> None:
    """A key that is there moves to the front; an unknown one is refused."""
    ring = Keyring([A, B, C])
    ring.use(C)
    assert ring.keys == (C, A, B)
    with pytest.raises(UsageError, match="not in the keyring"):
        ring.use(D)
    assert ring.keys == (C, A, B)


def test_removing() -> None:
    """Any but the primary can go; one that is not there changes nothing."""
    ring = Keyring([A, B, C])
    ring.remove(B)
    ring.remove(D)
    assert ring.keys == (A, C)
    with pytest.raises(UsageError, match="primary"):
        ring.remove(A)
    assert ring.keys == (A, C)


def test_bounds() -> None:
    """A ring has one key at least and sixteen at most, whoever asks for more."""
    with pytest.raises(UsageError, match="at least one"):
        Keyring([])
    many = [Key(bytes((number,)) * 16) for number in range(MAX_KEYS)]
    ring = Keyring(many)
    with pytest.raises(UsageError, match="at most 16"):
        ring.add(A)
    with pytest.raises(UsageError, match="at most 16"):
        Keyring([*many, A])
    assert ring.keys == tuple(many)


def test_following() -> None:
    """A new list takes the old one's place; what was added one by one stays behind it."""
    ring = Keyring([A, B])
    ring.add(C)
    ring.use(B)
    ring.follow([D, A])
    assert ring.keys == (D, A, C)
    ring.follow([C])
    assert ring.keys == (C,)
    ring.follow([A])
    assert ring.keys == (A,)


def test_following_keeps_within_the_bound() -> None:
    """A long list pushes out what was added; an empty one changes nothing."""
    ring = Keyring([A])
    ring.add(B)
    many = [Key(bytes((number,)) * 16) for number in range(MAX_KEYS)]
    ring.follow(many)
    assert ring.keys == tuple(many)
    with pytest.raises(UsageError, match="at least one"):
        ring.follow([])
    assert ring.keys == tuple(many)
