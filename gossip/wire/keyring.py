"""The keys of the gossip: an ordered ring, of which the first seals and all open.

The rules are memberlist's (`keyring.go`), so that `serf keys` does here what it does on an agent. A key's bytes show
in no `repr` and in no error. The cipher's library is imported with the first key: a node without one does not pay
for it.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Self

from gossip.errors import UsageError

#: AES-128, AES-192 and AES-256.
KEY_BYTES = (16, 24, 32)
#: Ours, memberlist has no bound. What nobody's key opens is tried with all of them, and a rotation needs two.
MAX_KEYS = 16


class Key:
    """One AES key, for AES-GCM."""

    __slots__ = ("_cipher", "_invalid", "_secret")

    def __init__(self, secret: bytes) -> None:
        """Raises `UsageError` unless it has 16, 24 or 32 bytes."""
        if len(secret) not in KEY_BYTES:
            raise UsageError(f"a key has 16, 24 or 32 bytes, this one {len(secret)}; `rykte keygen` prints one")
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._secret = secret
        self._cipher = AESGCM(secret)
        self._invalid = InvalidTag

    @classmethod
    def parse(cls, text: str) -> Self:
        """A key in base64, as Serf writes them. Raises `UsageError`, which does not show the text."""
        try:
            secret = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise UsageError("a key is written in base64, this is none; `rykte keygen` prints one") from None
        return cls(secret)

    def text(self) -> str:
        """The key itself, in base64."""
        return base64.b64encode(self._secret).decode()

    def seal(self, nonce: bytes, message: bytes, associated: bytes) -> bytes:
        """The ciphertext with its tag. A key must see a `nonce` of 12 bytes once only."""
        return self._cipher.encrypt(nonce, message, associated)

    def open(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes | None:
        """What `seal` was given, or None if this key did not make it of exactly these."""
        try:
            return self._cipher.decrypt(nonce, ciphertext, associated)
        except self._invalid:
            return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other._secret == self._secret

    def __hash__(self) -> int:
        return hash(self._secret)

    def __repr__(self) -> str:
        return f"<Key of {len(self._secret)} bytes>"


class Keyring:
    """Never empty, at most `MAX_KEYS`, no key twice. Not safe for threads: it belongs to the engine's."""

    def __init__(self, keys: Sequence[Key]) -> None:
        """The first of `keys` seals. Raises `UsageError` if there are none or too many."""
        self._given = _checked(keys)
        self._keys = self._given

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, the primary first."""
        return self._keys

    @property
    def primary(self) -> Key:
        """The one that seals."""
        return self._keys[0]

    def add(self, key: Key) -> None:
        """Open with this key as well; one that is there already changes nothing. Raises `UsageError` when full."""
        if key not in self._keys:
            self._keys = _checked((*self._keys, key))

    def use(self, key: Key) -> None:
        """Seal with this key from now on. Raises `UsageError` if it is not there."""
        if key not in self._keys:
            raise UsageError("Requested key is not in the keyring")
        self._keys = (key, *(other for other in self._keys if other != key))

    def remove(self, key: Key) -> None:
        """Open with this key no more; an unknown one changes nothing. Raises `UsageError` for the primary."""
        if key == self.primary:
            raise UsageError("Removing the primary key is not allowed")
        self._keys = tuple(other for other in self._keys if other != key)

    def follow(self, keys: Sequence[Key]) -> None:
        """Where the first keys came from says `keys` now: its first seals, and what is gone there is gone here.

        Keys that were added one by one stay, behind these, as far as there is room. Raises `UsageError`.
        """
        given = _checked(keys)
        added = (key for key in self._keys if key not in self._given and key not in given)
        self._keys = (*given, *added)[:MAX_KEYS]
        self._given = given


def _checked(keys: Sequence[Key]) -> tuple[Key, ...]:
    distinct = tuple(dict.fromkeys(keys))
    if not distinct:
        raise UsageError("a keyring holds at least one key; `rykte keygen` prints one")
    if len(distinct) > MAX_KEYS:
        raise UsageError(f"a keyring holds at most {MAX_KEYS} keys; remove those that nobody seals with any more")
    return distinct
