"""Bytes against their digest: hash as they flow, hold the tail back until the digest is right. Pure.

Whoever reads the body can be cheated of everything but its end: a body whose last bytes never come is no body
(containerd does not commit it), so wrong content can't be taken for right.
"""

import hashlib

from app.key import Digest

#: Manifests, configs and small layers: what is no bigger is verified before its first byte leaves, wherever it comes
#: from. 2 ms of hashing at most.
SMALL_BYTES = 4 * 1024 * 1024


class WrongContent(Exception):
    """The bytes are not those of the digest; the tail was not given out."""


class TailGuard:
    """Lets a body through one piece late, and its last piece only if the whole is right."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._hash = hashlib.new(digest.algorithm)
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece of the body; return what may be given out now (perhaps nothing)."""
        if not piece:
            return b""
        self._hash.update(piece)
        free, self._held = self._held, piece
        return free

    def finish(self) -> bytes:
        """The body has ended: return its last piece. Raises `WrongContent`."""
        if self._hash.hexdigest() != self._digest.hex:
            raise WrongContent(f"the bytes have {self._digest.algorithm}:{self._hash.hexdigest()}, not {self._digest}")
        free, self._held = self._held, b""
        return free
