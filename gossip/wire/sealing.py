"""Encryption: a message in an envelope that only the cluster's keys make and open.

An envelope is `version | nonce, 12 bytes | AES-GCM ciphertext | tag, 16 bytes`. Version 1 holds the message as it
is. Version 0 (nodes that speak memberlist's first protocol) pads it by PKCS #7; it is opened, never sent. A nonce is
random, one per message: 2^32 messages of one key keep the chance of an equal pair below 2^-33 (NIST SP 800-38D §8.3).
Source: HashiCorp memberlist `security.go`.
"""

import struct
from collections.abc import Callable

from gossip.errors import WireError
from gossip.wire.codec import MessageType
from gossip.wire.keyring import Keyring

_VERSION = 1
_PADDED_VERSION = 0
_NONCE_BYTES = 12
_TAG_BYTES = 16
_BLOCK_BYTES = 16

#: What sealing adds to a message.
OVERHEAD_BYTES = 1 + _NONCE_BYTES + _TAG_BYTES
#: What an envelope of any version may have beyond its message.
MAX_OVERHEAD_BYTES = OVERHEAD_BYTES + _BLOCK_BYTES

#: Before an envelope on a stream: the type byte of encrypted messages and the envelope's length.
_STREAM_HEADER = struct.Struct(">BI")


class Sealer:
    """Seals with the primary key, opens with any. The ring may change between two calls."""

    def __init__(self, keyring: Keyring, random: Callable[[int], bytes]) -> None:
        """`random(n)` gives n bytes that nobody can foretell and that never come twice."""
        self.keyring = keyring
        self._random = random

    def seal(self, message: bytes, associated: bytes = b"") -> bytes:
        """The envelope for a datagram; `associated` is authenticated with it but not in it."""
        nonce = self._random(_NONCE_BYTES)
        return bytes((_VERSION,)) + nonce + self.keyring.primary.seal(nonce, message, associated)

    def seal_stream(self, message: bytes) -> bytes:
        """The envelope with the header that it has on a stream."""
        header = _STREAM_HEADER.pack(MessageType.ENCRYPTED, len(message) + OVERHEAD_BYTES)
        return header + self.seal(message, header)

    def open(self, envelope: bytes, associated: bytes = b"") -> bytes:
        """The message in an envelope. Raises `WireError` if it is none, was changed, or is of nobody's key here."""
        if len(envelope) < OVERHEAD_BYTES:
            raise WireError(f"an encrypted message has at least {OVERHEAD_BYTES} bytes, this one {len(envelope)}")
        version = envelope[0]
        if version not in (_PADDED_VERSION, _VERSION):
            raise WireError("not encrypted, and this node has a key: the sender has none")
        nonce, ciphertext = envelope[1 : 1 + _NONCE_BYTES], envelope[1 + _NONCE_BYTES :]
        for key in self.keyring.keys:
            message = key.open(nonce, ciphertext, associated)
            if message is not None:
                return message if version == _VERSION else _unpadded(message)
        raise WireError("no key of this node opens it: the sender has another key, or none")

    def open_stream(self, envelope: bytes) -> bytes:
        """The message in an envelope that came on a stream, behind a header with its length. Raises `WireError`."""
        return self.open(envelope, _STREAM_HEADER.pack(MessageType.ENCRYPTED, len(envelope)))


def _unpadded(message: bytes) -> bytes:
    """Without its PKCS #7 padding. Raises `WireError`."""
    count = message[-1] if message else 0
    if not 0 < count <= _BLOCK_BYTES or not message.endswith(bytes((count,)) * count):
        raise WireError("the padding of an encrypted message is wrong")
    return message[:-count]
