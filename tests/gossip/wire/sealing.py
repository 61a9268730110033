"""Keys and sealers for tests, and envelopes that our own code never makes."""

from random import Random

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gossip.wire.keyring import Key, Keyring
from gossip.wire.sealing import Sealer

#: What the recorded agents of `tests/golden` were started with.
GOLDEN_KEY = Key(bytes(range(32)))
SECRETS = tuple(bytes((number,)) * 32 for number in range(1, 5))
KEYS = tuple(map(Key, SECRETS))


def sealer(*keys: Key) -> Sealer:
    """A sealer of these keys, by default of the first of `KEYS`, whose nonces come again with every run."""
    return Sealer(Keyring(keys or KEYS[:1]), Random(1).randbytes)


def version_0(message: bytes, secret: bytes, associated: bytes = b"", *, padding: bytes | None = None) -> bytes:
    """An envelope as the first memberlist protocol seals: padded to whole blocks, always by something."""
    if padding is None:
        count = 16 - len(message) % 16
        padding = bytes((count,)) * count
    nonce = bytes(12)
    return b"\x00" + nonce + AESGCM(secret).encrypt(nonce, message + padding, associated)
