"""What one delta broadcast says, and its bytes.

A delta tells the keys that an origin's filter gained. Two counters place it in the filter's history: `revision`
numbers every key that the filter gained since the origin started (keys that are never broadcast too), `sequence`
numbers the broadcasts of one epoch, so that a lost one shows. The delta claims the revisions from `since`
(exclusive) to `revision`: who was complete at `since` is complete at `revision`. Keys beyond that claim are allowed.

Bytes, big endian: version, origin (8), epoch (4), sequence (4), revision (4), revision - since (1), then the
fingerprints (8 each) to the end. A new epoch is announced by a delta without keys, and so is a refresh.
"""

import hashlib
import struct
from dataclasses import dataclass

from app.directory.errors import DirectoryError, UnknownVersion
from gossip.membership import MAX_PAYLOAD_BYTES

#: The broadcast's name, as a stock agent shows it. Short: it is sent with every delta.
TOPIC = "rykte"

_VERSION = 1
_HEADER = struct.Struct(">B8sIIIB")
_SEAL_BYTES = 16  # kept free for an authentication tag
#: Fingerprints that fit into one delta.
MAX_KEYS = (MAX_PAYLOAD_BYTES - len(TOPIC) - _SEAL_BYTES - _HEADER.size) // 8

Origin = bytes
"""Who owns a filter: 8 bytes made from the member's gossip name."""


def origin_of(member_name: str) -> Origin:
    """The first 8 bytes of the SHA-256 of the gossip name: everybody knows it, no tag has to tell it.

    The name's bytes as they travel, which need not be UTF-8: see `gossip.wire.messages`.
    """
    return hashlib.sha256(member_name.encode(errors="surrogateescape")).digest()[:8]


@dataclass(frozen=True, slots=True)
class Delta:
    """One broadcast. `keys` are 64-bit fingerprints, at most `MAX_KEYS`; `since` is at most 255 below `revision`."""

    origin: Origin
    epoch: int
    sequence: int
    revision: int
    since: int
    keys: tuple[int, ...] = ()


def encode(delta: Delta) -> bytes:
    """At most `MAX_PAYLOAD_BYTES`, with the topic and the room for a seal."""
    claim = delta.revision - delta.since
    header = _HEADER.pack(_VERSION, delta.origin, delta.epoch, delta.sequence, delta.revision, claim)
    return header + struct.pack(f">{len(delta.keys)}Q", *delta.keys)


def decode(payload: bytes) -> Delta:
    """Raises `UnknownVersion`, or `DirectoryError` for any other bytes that `encode` can't have made."""
    if payload and payload[0] != _VERSION:
        raise UnknownVersion(f"delta version {payload[0]} is not ours ({_VERSION})")
    count, rest = divmod(len(payload) - _HEADER.size, 8)
    if rest or not 0 <= count <= MAX_KEYS:
        raise DirectoryError(f"a delta of {len(payload)} bytes is no header and whole fingerprints")
    _, origin, epoch, sequence, revision, claim = _HEADER.unpack_from(payload)
    if not epoch or not sequence or claim > revision:
        raise DirectoryError(f"a delta of epoch {epoch}, sequence {sequence} can't claim {claim} of {revision} changes")
    keys = struct.unpack_from(f">{count}Q", payload, _HEADER.size)
    return Delta(origin, epoch, sequence, revision, revision - claim, keys)
